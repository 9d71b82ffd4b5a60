// Package guides contains code that the pages of the documentation show.
package guides
