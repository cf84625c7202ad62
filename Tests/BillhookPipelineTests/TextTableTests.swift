import Testing

@testable import BillhookPipeline

@Suite struct TextTableTests {
  @Test func `columns are aligned and empty ones left out`() {
    var table = TextTable([("name", .left), ("size", .right), ("note", .left)])
    table.add(["a", "1,000", ""])
    table.add(["long name", "7", ""])
    #expect(
      table.text() == """
        name        size
        ---------  -----
        a          1,000
        long name      7

        """)
  }

  @Test(arguments: [
    (0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1_687_552, "1.61 MiB"),
    (10 << 30, "10.0 GiB"),
  ])
  func `bytes have a unit`(count: Int, text: String) { #expect(NumberText.bytes(count) == text) }

  @Test(arguments: [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567")])
  func `counts have separators`(count: Int, text: String) {
    #expect(NumberText.count(count) == text)
  }

  @Test(arguments: [
    (0.000_31, "310 µs"), (0.002_414, "2.41 ms"), (12.04, "12.0 s"), (125, "2 min 5 s"),
  ])
  func `times have a unit`(value: Double, text: String) {
    #expect(NumberText.seconds(value) == text)
  }

  @Test(arguments: [(0.0031, "+0.31"), (-0.012, "-1.20"), (-0.000_001, "+0.00")])
  func `changes have a sign`(value: Double, text: String) {
    #expect(NumberText.points(value) == text)
  }
}
