import Foundation
import Testing

@testable import BillhookPlugins

@Suite struct PrintableTextTests {
  @Test(arguments: [
    ("plain ünïcode 数 👍", "plain ünïcode 数 👍"),
    ("\u{1B}[31mred\u{7}", "\u{FFFD}[31mred\u{FFFD}"),
    ("a\tb\rc\u{85}d", "a\tb\u{FFFD}c\u{FFFD}d"),
    ("left\u{202E}right\u{2028}next\u{2029}", "left\u{FFFD}right\u{FFFD}next\u{FFFD}"),
    ("one\nbillhook: two\n\n  three\r\n", "one\n  billhook: two\n\n  three\u{FFFD}\n"),
    ("", ""),
  ])
  func `what a terminal would obey is replaced, and later lines are indented`(
    text: String, expected: String
  ) {
    #expect(printable(text) == expected)
    #expect(printable(expected) == expected)
  }

  @Test(arguments: [2047, 2048, 2049, 2050, 5000])
  func `a text of more than 2 KiB ends with an ellipsis at a whole character`(count: Int) {
    let given =
      String(repeating: "a", count: count % 2) + String(repeating: "é", count: count / 2)
    let text = printable(given)
    #expect(text.utf8.count <= 2048)
    #expect(text.hasSuffix("…") == (count > 2048))
    #expect(!text.unicodeScalars.contains("\u{FFFD}"))
    #expect(printable(text) == text)
  }

  @Test func `an error that comes from a worker is printable too`() throws {
    let given = PluginError.failed(
      plugin: "org.example.one", function: "score", layer: nil, status: -2, message: "\u{1B}[2Jx")
    let bytes = [UInt8](try PluginJSON.encoder.encode(given))
    #expect(
      PluginJSON.error(bytes)
        == .failed(
          plugin: "org.example.one", function: "score", layer: nil, status: -2,
          message: "\u{FFFD}[2Jx"))
    #expect(PluginJSON.error(Array("[]".utf8)) == nil)
  }
}
