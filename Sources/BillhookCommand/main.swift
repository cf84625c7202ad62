internal import ArgumentParser
internal import Foundation

// A reader that goes away (billhook ... | head) must not end the work half way.
signal(SIGPIPE, SIG_IGN)
exit(BillhookCommand.runToExitCode(Array(CommandLine.arguments.dropFirst())))
