// Command faults runs three replicas of examples/compare over a real PostgreSQL and a real Redis,
// breaks what connects them, and checks a history of every call afterwards. Use it as
// "make faults" (three minutes) and "make soak" (hours). It runs on Linux only.
//
// It starts everything itself, on free ports of this machine, and everything ends with it.
package main
