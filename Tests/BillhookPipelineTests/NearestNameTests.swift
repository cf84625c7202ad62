import Testing

@testable import BillhookPipeline

@Suite struct NearestNameTests {
  @Test(arguments: [
    ("rato", "ratio"), ("magnitud", "magnitude"), ("RATIO", "ratio"), ("raito", "ratio"),
  ])
  func `a slip of the finger finds the word`(word: String, meant: String) {
    #expect(nearestName(to: word, in: ["scorer", "ratio", "magnitude"]) == meant)
  }

  @Test(arguments: ["", "x", "banana", "completely different"])
  func `a word like none finds nothing`(word: String) {
    #expect(nearestName(to: word, in: ["scorer", "ratio", "mlp"]) == nil)
  }
}
