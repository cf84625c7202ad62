internal import Foundation

/// The process's outputs. A closed pipe is not an error: whoever read it has seen enough.
enum Terminal {
  static func out(_ text: String) { write(text, to: STDOUT_FILENO) }
  static func error(_ text: String) { write(text, to: STDERR_FILENO) }

  /// Writes without adding a line break.
  static func errorFragment(_ text: String) { writeBytes(Array(text.utf8), to: STDERR_FILENO) }

  static var errorIsTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Asks for a yes on the terminal; without one the answer is no.
  static func confirm(_ question: String) -> Bool {
    guard isatty(STDIN_FILENO) == 1, errorIsTerminal else { return false }
    errorFragment("\(question) [y/N] ")
    return ["y", "yes"].contains(readLine()?.lowercased())
  }

  /// Columns of the terminal on standard error.
  static var width: Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  private static func write(_ text: String, to descriptor: Int32) {
    guard !text.isEmpty else { return }
    writeBytes(Array((text.hasSuffix("\n") ? text : text + "\n").utf8), to: descriptor)
  }

  private static func writeBytes(_ bytes: [UInt8], to descriptor: Int32) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        return
      }
      rest = rest.dropFirst(count)
    }
  }
}
