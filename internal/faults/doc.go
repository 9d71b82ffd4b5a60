// Command faults runs three replicas of examples/compare over a real PostgreSQL and a real Redis,
// breaks what connects them and what they run on, and checks a history of every call afterwards. Use
// it as "make faults" (three minutes) and "make soak" (hours). It runs on Linux only.
//
// It starts everything itself, on free ports of this machine, and everything ends with it. A new
// fault belongs in the lists of plan.go or pressure.go, and in the order of plan.go. A check of the
// history belongs in package history, a check of the end in finish.go; each needs a defect of the
// planted replica (plant_faults.go of examples/compare) that it finds.
package main
