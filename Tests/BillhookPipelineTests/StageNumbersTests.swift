import BillhookPipeline
import Testing

@Suite struct StageNumbersTests {
  @Test func `numbers outside the format's ranges are named`() {
    var quantize = QuantizeStage()
    quantize.percentile = 20
    quantize.samples = 0
    let error = #expect(throws: PipelineError.self) {
      try Stage(.quantize(quantize)).checkNumbers()
    }
    #expect(
      error?.description == """
        Cannot quantize, for 2 reasons.
          "percentile" is 20.0, but must be above 50 and at most 100.
          "samples" is 0, but must be at least 1.
        """)
  }

  @Test(arguments: [0, 1, 1.5, -0.1, .nan, .infinity])
  func `a pruning ratio lies between 0 and 1`(ratio: Double) {
    let error = #expect(throws: PipelineError.self) {
      try Stage(.prune(PruneStage(granularity: .element, ratio: ratio))).checkNumbers()
    }
    #expect(
      error?.description
        == "Cannot prune. \"ratio\" is \(ratio), but must be above 0 and below 1.")
  }

  @Test func `the defaults are inside their ranges`() {
    #expect(throws: Never.self) {
      try Stage(.train(TrainStage())).checkNumbers()
      try Stage(.distill(DistillStage())).checkNumbers()
      try Stage(.quantize(QuantizeStage())).checkNumbers()
    }
  }
}
