internal import BillhookPlugins
internal import Foundation

// The process in which plugins run that are not trusted with the host's: see docs/isolation.md.
// Nothing of the plugins' runs at the end: the host has gone, or has no use for it.
_exit(WorkerServer.run())
