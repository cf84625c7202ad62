/// In which versions of ONNX's operator set each operator was changed.
///
/// The table is made from the schemas of the `onnx` Python package, release 1.23.2; README.md has the
/// command.
enum OperatorVersions {
  /// True when an operator has the same definition in two versions of the operator set.
  static func agree(on op: String, _ first: Int, _ second: Int) -> Bool {
    let (low, high) = (min(first, second), max(first, second))
    // Networks of operator sets before 7 are older than functions are.
    guard low < high else { return true }
    return low >= 7 && !changes.contains { low < $0.key && $0.key <= high && $0.value.contains(op) }
  }

  private static let changes: [Int: Set<String>] = [
    7: [
      "Acos", "Add", "And", "Asin", "Atan", "AveragePool", "BatchNormalization", "Cos", "Div",
      "Dropout", "Equal", "GRU", "Gemm", "Greater", "LSTM", "Less", "Mul", "Multinomial",
      "Or", "PRelu", "Pow", "RNN", "Sin", "Sub", "Tan", "Upsample", "Xor",
    ],
    8: [
      "Expand", "Max", "MaxPool", "Mean", "Min", "Scan", "Sum",
    ],
    9: [
      "Acosh", "Asinh", "Atanh", "BatchNormalization", "Cast", "Compress", "Constant",
      "ConstantOfShape", "Cosh", "Erf", "EyeLike", "Flatten", "Gemm", "Greater", "IsNaN",
      "Less", "MatMul", "MaxUnpool", "MeanVarianceNormalization", "NonZero", "OneHot",
      "PRelu", "Scan", "Scatter", "Shrink", "Sign", "Sinh", "TfIdfVectorizer", "Upsample",
      "Where",
    ],
    10: [
      "AveragePool", "ConvInteger", "DequantizeLinear", "Dropout", "IsInf", "MatMulInteger",
      "MaxPool", "Mod", "NonMaxSuppression", "QLinearConv", "QLinearMatMul", "QuantizeLinear",
      "Resize", "ReverseSequence", "RoiAlign", "Slice", "StringNormalizer", "ThresholdedRelu",
      "TopK", "Upsample",
    ],
    11: [
      "ArgMax", "ArgMin", "AveragePool", "BitShift", "Clip", "Compress", "Concat",
      "ConcatFromSequence", "Constant", "Conv", "ConvTranspose", "CumSum", "DepthToSpace",
      "Det", "DynamicQuantizeLinear", "Equal", "Flatten", "Gather", "GatherElements",
      "GatherND", "Gemm", "Hardmax", "If", "LogSoftmax", "Loop", "LpPool", "MaxPool",
      "MaxUnpool", "NonMaxSuppression", "OneHot", "Pad", "Range", "ReduceL1", "ReduceL2",
      "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
      "ReduceSum", "ReduceSumSquare", "Resize", "Round", "Scan", "Scatter", "ScatterElements",
      "ScatterND", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase",
      "SequenceInsert", "SequenceLength", "Slice", "Softmax", "Split", "SplitToSequence",
      "Squeeze", "TopK", "Unique", "Unsqueeze",
    ],
    12: [
      "ArgMax", "ArgMin", "Celu", "Clip", "Constant", "Dropout", "Einsum", "GatherND",
      "GreaterOrEqual", "LessOrEqual", "Max", "MaxPool", "Min", "NegativeLogLikelihoodLoss",
      "Pow", "ReduceMax", "ReduceMin", "SoftmaxCrossEntropyLoss",
    ],
    13: [
      "Abs", "Add", "ArgMax", "ArgMin", "Cast", "Ceil", "Clip", "Concat", "Constant",
      "DepthToSpace", "DequantizeLinear", "Div", "Dropout", "Equal", "Erf", "Exp", "Expand",
      "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gemm", "Greater",
      "Hardmax", "Identity", "If", "IsNaN", "LRN", "Less", "Log", "LogSoftmax", "Loop",
      "MatMul", "Max", "Mean", "MeanVarianceNormalization", "Min", "Mod", "Mul", "Neg",
      "NegativeLogLikelihoodLoss", "NonZero", "Pad", "Pow", "QuantizeLinear", "Reciprocal",
      "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
      "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize",
      "ScatterElements", "ScatterND", "Shape", "Sigmoid", "Sign", "Size", "Slice", "Softmax",
      "SoftmaxCrossEntropyLoss", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum",
      "Tanh", "Tile", "Transpose", "Unsqueeze",
    ],
    14: [
      "Add", "BatchNormalization", "CumSum", "Div", "GRU", "HardSwish", "Identity", "LSTM",
      "Mul", "RNN", "Relu", "Reshape", "Sub", "Trilu",
    ],
    15: [
      "BatchNormalization", "Bernoulli", "CastLike", "Optional", "OptionalGetElement",
      "OptionalHasElement", "Pow", "Shape",
    ],
    16: [
      "GreaterOrEqual", "GridSample", "Identity", "If", "LeakyRelu", "LessOrEqual", "Loop",
      "PRelu", "RoiAlign", "Scan", "ScatterElements", "ScatterND", "Where",
    ],
    17: [
      "BlackmanWindow", "DFT", "HammingWindow", "HannWindow", "LayerNormalization",
      "MelWeightMatrix", "STFT", "SequenceMap",
    ],
    18: [
      "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "CenterCropPad", "Col2Im",
      "GroupNormalization", "LpPool", "Mish", "OptionalGetElement", "OptionalHasElement",
      "Pad", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
      "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare", "Resize", "ScatterElements",
      "ScatterND", "Split",
    ],
    19: [
      "AveragePool", "Cast", "CastLike", "Constant", "DeformConv", "DequantizeLinear",
      "Equal", "Identity", "If", "Loop", "Pad", "QuantizeLinear", "Reshape", "Resize", "Scan",
      "Shape", "Size",
    ],
    20: [
      "AffineGrid", "ConstantOfShape", "DFT", "Gelu", "GridSample", "ImageDecoder", "IsInf",
      "IsNaN", "ReduceMax", "ReduceMin", "RegexFullMatch", "StringConcat", "StringSplit",
    ],
    21: [
      "Cast", "CastLike", "Constant", "ConstantOfShape", "DequantizeLinear", "Flatten",
      "GroupNormalization", "Identity", "If", "Loop", "Pad", "QLinearMatMul",
      "QuantizeLinear", "Reshape", "Scan", "Shape", "Size", "Squeeze", "Transpose",
      "Unsqueeze",
    ],
    22: [
      "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "AveragePool", "Bernoulli", "Conv",
      "ConvTranspose", "Cos", "Cosh", "DeformConv", "Det", "Dropout", "Elu", "EyeLike", "GRU",
      "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "GridSample", "HardSigmoid",
      "HardSwish", "InstanceNormalization", "LSTM", "LpNormalization", "LpPool", "MaxPool",
      "MaxRoiPool", "MaxUnpool", "Mish", "Multinomial", "NegativeLogLikelihoodLoss", "RNN",
      "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "RoiAlign",
      "Round", "Selu", "Sin", "Sinh", "Softplus", "Softsign", "Tan", "ThresholdedRelu",
    ],
    23: [
      "Attention", "Cast", "CastLike", "Constant", "ConstantOfShape", "DequantizeLinear",
      "Flatten", "Identity", "If", "Loop", "Pad", "QuantizeLinear", "RMSNormalization",
      "Reshape", "RotaryEmbedding", "Scan", "Shape", "Size", "Squeeze", "Transpose",
      "Unsqueeze",
    ],
    24: [
      "Attention", "Cast", "CastLike", "Constant", "ConstantOfShape", "DequantizeLinear",
      "Flatten", "Identity", "If", "Loop", "Pad", "QuantizeLinear", "Reshape", "Scan",
      "Shape", "Size", "SplitToSequence", "Squeeze", "Swish", "TensorScatter", "TopK",
      "Transpose", "Unsqueeze",
    ],
    25: [
      "Attention", "Cast", "CastLike", "Constant", "ConstantOfShape", "DequantizeLinear",
      "Flatten", "Identity", "If", "Loop", "Pad", "QuantizeLinear", "Reshape", "Scan",
      "Shape", "Size", "Squeeze", "Transpose", "Unsqueeze",
    ],
    26: [
      "BitCast", "CumProd",
    ],
    27: [
      "CausalConvWithState", "LinearAttention", "Range",
    ],
    28: [
      "BitShift", "Cast", "Celu", "Compress", "DepthToSpace", "DequantizeLinear", "Einsum",
      "Mod", "OneHot", "Optional", "OptionalGetElement", "OptionalHasElement",
      "QuantizeLinear", "ReduceLogSum", "ReduceLogSumExp", "ReverseSequence", "SpaceToDepth",
      "SwiGLU", "Unique",
    ],
  ]
}
