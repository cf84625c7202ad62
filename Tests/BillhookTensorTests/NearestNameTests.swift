import Testing

@testable import BillhookTensor

@Suite struct NearestNameTests {
  @Test(arguments: [
    ("rato", "ratio"), ("magnitud", "magnitude"), ("RATIO", "ratio"), ("raito", "ratio"),
  ])
  func `a slip of the finger finds the word`(word: String, meant: String) {
    #expect(nearestNames(to: word, in: ["scorer", "ratio", "magnitude"]).first == meant)
  }

  @Test(arguments: ["", "x", "banana", "completely different"])
  func `a word like none finds nothing`(word: String) {
    #expect(nearestNames(to: word, in: ["scorer", "ratio", "mlp"]).isEmpty)
  }
}
