/// What each role may bind, and as what.
extension PlainRole {
  /// Tensors that the host gives; the element type `nil` stands for the quantizer's own.
  var inputs: [PlainTensor: PlainType?] {
    switch self {
    case .scorer:
      [
        .weight: .float, .grad: .float, .mask: .float, .inputAbsMean: .float,
        .inputSquaredNorm: .float, .outputAbsMean: .float, .outputZeroFraction: .float,
        .row: .float,
      ]
    case .loss:
      [
        .student: .float, .teacher: .float, .labels: .int32, .sampleWeight: .float, .row: .float,
        .rowTeacher: .float,
      ]
    case .calibrate: [.weight: .float]
    case .quantize: [.weight: .float, .scale: .float, .zeroPoint: nil, .row: .float]
    case .dequantize: [.q: nil, .scale: .float, .zeroPoint: nil, .row: nil]
    }
  }

  /// Tensors that the function writes.
  var outputs: [PlainTensor: PlainType?] {
    switch self {
    case .scorer: [.scores: .float, .rowOut: .float]
    case .loss:
      [.gradStudent: .float, .rowOut: .float, .lossSum: .double, .lossWeight: .double]
    case .calibrate: [.scale: .float, .zeroPoint: nil]
    case .quantize: [.q: nil, .rowOut: nil]
    case .dequantize: [.weight: .float, .rowOut: .float]
    }
  }

  /// Tensors of which one element at a time may be passed.
  var elementInputs: [PlainTensor] { self == .scorer ? [.weight, .grad, .mask] : [] }

  var integers: [PlainInteger] {
    switch self {
    case .scorer: [.seed, .threads, .axis, .rowIndex, .samples]
    case .loss: [.seed, .threads, .batch, .classes, .rowIndex, .rowLabel]
    case .calibrate: [.seed, .threads, .axis, .block, .qmin, .qmax]
    case .quantize, .dequantize: [.seed, .threads, .axis, .block, .qmin, .qmax, .rowIndex]
    }
  }

  /// What the result may mean.
  var returns: [PlainReturn] {
    switch self {
    case .scorer: [.none, .status, .statusNegative, .score]
    case .loss: [.none, .status, .statusNegative, .value]
    case .calibrate: [.none, .status, .statusNegative]
    case .quantize, .dequantize: [.none, .status, .statusNegative, .bytes, .count]
    }
  }

  /// The whole tensor that `row` is a row of, and the one that `row.out` is a row of.
  var main: (input: PlainTensor, output: PlainTensor) {
    switch self {
    case .scorer: (.weight, .scores)
    case .loss: (.student, .gradStudent)
    case .calibrate: (.weight, .scale)
    case .quantize: (.weight, .q)
    case .dequantize: (.q, .weight)
    }
  }
}
