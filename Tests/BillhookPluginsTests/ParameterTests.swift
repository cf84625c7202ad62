import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Testing

@Suite struct ParameterTests {
  static func plugin() throws -> Plugin {
    try builtIns.plugin(try compiledPlugin("Tests/BrokenPlugins/parameters.c"), hook: .scorer)
  }

  static func received(_ given: [String: ParameterValue]) throws -> [Float] {
    let scorer = try plugin().makeScorer(given)
    let scores = try scorer.score(
      layer(inAxis: -1), granularity: .element, weight: Tensor(zeros: [9]))
    return try #require(scores).elements(of: Float.self)
  }

  @Test func `defaults reach the plugin when nothing is given`() throws {
    #expect(try Self.received(["must": .int(1)]) == [3, 0.5, 1, 2, 4, 0, 0, 2, 2])
  }

  @Test func `given values of every type reach the plugin`() throws {
    let given: [String: ParameterValue] = [
      "must": .int(0), "count": .int(7), "factor": .double(2.5), "flag": .bool(false),
      "colour": .string("yellow"), "label": .string("äb"), "sizes": .ints([4, 5]),
      "rates": .doubles([1, 2, 4]),
    ]
    #expect(try Self.received(given) == [7, 2.5, 0, 3, 3, 2, 9, 3, 7])
  }

  @Test func `whole numbers stand for numbers, and single ones for lists`() throws {
    let given: [String: ParameterValue] = [
      "must": .int(0), "factor": .int(2), "label": .int(55), "sizes": .int(6), "rates": .int(3),
    ]
    #expect(try Self.received(given) == [3, 2, 1, 2, 2, 1, 6, 1, 3])
  }

  @Test func `checked parameters come in declared order`() throws {
    let checked = try Self.plugin().checkParameters(["must": .int(1), "colour": .string("red")])
    #expect(
      checked.map(\.key)
        == ["count", "factor", "flag", "colour", "label", "sizes", "rates", "must"])
    #expect(checked[3].value == .string("red"))
    #expect(checked[6].value == .doubles([0.5, 1.5]))
  }

  static let id = "org.example.parameters"

  struct Wrong: Sendable {
    var given: [String: ParameterValue]
    var expected: String
  }

  static let wrong: [Wrong] = [
    Wrong(
      given: ["colou": .int(1)],
      expected: """
        Plugin "\(id)" has no parameter "colou"; did you mean "colour"? It has "count", "factor", \
        "flag", "colour", "label", "sizes", "rates" and "must".
        """),
    Wrong(
      given: [:],
      expected: "Plugin \"\(id)\" needs the parameter \"must\": a whole number from 0 to 1."),
    Wrong(
      given: ["count": .int(10)],
      expected:
        "Parameter \"count\" of plugin \"\(id)\" is 10 but must be a whole number from 1 to 9 ms."),
    Wrong(
      given: ["count": .double(2)],
      expected: """
        Parameter "count" of plugin "\(id)" is the number 2 but must be a whole number from 1 to 9 \
        ms.
        """),
    Wrong(
      given: ["factor": .string("much")],
      expected: """
        Parameter "factor" of plugin "\(id)" is the text "much" but must be a number of at least 0.
        """),
    Wrong(
      given: ["factor": .double(.nan)],
      expected:
        "Parameter \"factor\" of plugin \"\(id)\" is nan but must be a number of at least 0."
    ),
    Wrong(
      given: ["factor": .double(.infinity)],
      expected:
        "Parameter \"factor\" of plugin \"\(id)\" is inf but must be a number of at least 0."
    ),
    Wrong(
      given: ["flag": .int(1)],
      expected: "Parameter \"flag\" of plugin \"\(id)\" is the number 1 but must be true or false."),
    Wrong(
      given: ["colour": .string("gren")],
      expected: """
        Parameter "colour" of plugin "\(id)" is "gren" but must be "red", "green", "blue" or \
        "yellow"; did you mean "green" or "red"?
        """),
    Wrong(
      given: ["label": .string("a\0b")],
      expected:
        "Parameter \"label\" of plugin \"\(id)\" is text with a zero byte but must be text."),
    Wrong(
      given: ["sizes": .ints([1, 101])],
      expected: """
        Parameter "sizes" of plugin "\(id)" is 101 but must be a list of whole numbers of at most \
        100.
        """),
    Wrong(
      given: ["rates": .bool(true)],
      expected: "Parameter \"rates\" of plugin \"\(id)\" is true but must be a list of numbers."),
  ]

  @Test(arguments: wrong)
  func `a wrong parameter is answered with what it must be`(_ wrong: Wrong) {
    #expect(sentence { _ = try Self.plugin().checkParameters(wrong.given) } == wrong.expected)
  }

  @Test(arguments: [
    ("true", ParameterValue.bool(true)), ("5", .int(5)), ("-5", .int(-5)), ("0.5", .double(0.5)),
    ("1e3", .double(1000)), ("1,2", .ints([1, 2])), ("1,2.5", .doubles([1, 2.5])),
    ("channel", .string("channel")), ("", .string("")), ("a,b", .string("a,b")),
    ("1,", .string("1,")),
  ])
  func `text from a command line becomes the value it looks like`(
    text: String, value: ParameterValue
  ) {
    #expect(ParameterValue(text: text) == value)
  }
}
