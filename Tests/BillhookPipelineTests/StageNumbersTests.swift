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

  @Test func `numbers that are too large or below zero are named`() {
    var quantize = QuantizeStage()
    quantize.samples = .max
    quantize.minReduction = -1
    let error = #expect(throws: PipelineError.self) {
      try Stage(.quantize(quantize)).checkNumbers()
    }
    #expect(
      error?.description == """
        Cannot quantize, for 2 reasons.
          "samples" is 9.223372036854776e+18, but must be at most 2147483648.
          "min_reduction" is -1, but must be at least 0.
        """)
  }

  @Test func `a block that is too large is refused`() {
    var stage = PruneStage(granularity: .block, ratio: 0.5)
    stage.block = [4, .max]
    #expect(
      stage.shapeProblem(hasRatio: true)?.sentence == """
        A block has the size 9223372036854775807, but at most 2147483648 is possible; try \
        [4, 1].
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
