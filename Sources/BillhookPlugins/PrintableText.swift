/// A plugin's text as people get to see it, in a terminal or in a file.
///
/// A plugin may say anything, and a terminal obeys: so control, format and separator characters
/// become U+FFFD, but for line breaks and tabs. Lines after the first are indented by two spaces,
/// so that none can pass for a line of Billhook's own. What is printable already stays as it is.
///
/// - Parameter limit: The most bytes of UTF-8 that come back; a text that is cut ends with "…".
func printable(_ text: String, limit: Int = 2048) -> String {
  var scalars = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    scalars.append(isPrintable(scalar) ? scalar : "\u{FFFD}")
  }
  let lines = String(scalars).split(separator: "\n", omittingEmptySubsequences: false)
  var result = ""
  for (index, line) in lines.enumerated() {
    if index > 0 { result += line.isEmpty || line.hasPrefix("  ") ? "\n" : "\n  " }
    result += line
  }
  return cut(result, limit)
}

/// True for characters that show something, line breaks and tabs.
private func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.properties.generalCategory {
  case .control: scalar == "\n" || scalar == "\t"
  case .format, .lineSeparator, .paragraphSeparator: false
  default: true
  }
}

/// The beginning of a text, with an ellipsis in place of what does not fit.
private func cut(_ text: String, _ limit: Int) -> String {
  guard text.utf8.count > limit else { return text }
  let ellipsis = "…"
  var end = text.utf8.index(text.startIndex, offsetBy: max(limit - ellipsis.utf8.count, 0))
  while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
  return String(text[..<end]) + ellipsis
}

extension ModuleReader {
  /// True for a text that a library may describe itself with: without control characters, those
  /// that turn the direction of what follows included.
  ///
  /// - Parameter allowsLines: True for documents, which may have line breaks.
  static func isDescriptive(_ text: String, allowsLines: Bool) -> Bool {
    text.unicodeScalars.allSatisfy { scalar in
      switch scalar {
      case "\n": allowsLines
      case "\u{202A}"..."\u{202E}", "\u{2066}"..."\u{2069}": false
      default: scalar.properties.generalCategory != .control
      }
    }
  }

  static func descriptiveExpectation(allowsLines: Bool) -> String {
    allowsLines
      ? "text without control characters other than line breaks"
      : "text without control characters"
  }
}
