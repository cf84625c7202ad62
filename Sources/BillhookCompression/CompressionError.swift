/// A reason why a network cannot be compressed as asked.
public enum CompressionError: Error, Equatable, CustomStringConvertible {
  // Data.
  case dataWithoutInputs(data: String)
  case dataEmpty(data: String)
  case dataCountsDiffer(
    data: String, first: String, firstCount: Int, second: String, secondCount: Int)
  case normalizationInvalid(data: String, mean: [Float], std: [Float])
  case normalizationChannels(data: String, input: String, channels: Int, found: Int)
  case dataInputMissing(data: String, input: String, found: [String], network: [String])
  case dataShape(data: String, input: String, found: [Int], expected: [String])
  case labelsNeeded(data: String, task: String)
  case labelOutOfRange(data: String, sample: Int, label: Int, classes: Int)
  // Outputs.
  case outputNotLogits(output: String, shape: [Int])
  case outputsDiffer(first: [String], second: [String])
  // Choice of layers.
  case patternMatchedNothing(pattern: String, names: [String])
  case everythingExcluded(include: [String], exclude: [String], names: [String])
  case noLayers(task: String)

  public var description: String {
    switch self {
    case .dataWithoutInputs(let data):
      "The data \"\(data)\" has no input array; give at least one array beside the labels."
    case .dataEmpty(let data):
      "The data \"\(data)\" has no samples; check the file and its limit."
    case .dataCountsDiffer(let data, let first, let firstCount, let second, let secondCount):
      """
      The data "\(data)" has \(firstCount) samples of "\(first)" but \(secondCount) of \
      "\(second)"; each array needs one entry a sample.
      """
    case .normalizationInvalid(let data, let mean, let std):
      """
      The data "\(data)" has the mean \(mean) and the standard deviation \(std); both need the \
      same number of finite values, and no standard deviation may be 0.
      """
    case .normalizationChannels(let data, let input, let channels, let found):
      """
      The data "\(data)" has \(channels) channels in the input "\(input)" but its mean and standard \
      deviation have \(found) values; give 1 or \(channels).
      """
    case .dataInputMissing(let data, let input, let found, let network):
      """
      The data "\(data)" has no array for the network's input "\(input)": it has \
      \(quoted(found)), the network takes \(quoted(network)). Name the arrays after the inputs.
      """
    case .dataShape(let data, let input, let found, let expected):
      """
      The data "\(data)" has the shape \(found) but the network's input "\(input)" takes \
      [\(expected.joined(separator: ", "))]; choose data of that shape, or set channels=.
      """
    case .labelsNeeded(let data, let task):
      "The data \"\(data)\" has no labels, but \(task) needs them; add a labels array."
    case .labelOutOfRange(let data, let sample, let label, let classes):
      """
      Sample \(sample) of the data "\(data)" has the label \(label), but the network tells \
      \(classes) classes apart (0 to \(classes - 1)); check that both use the same label set.
      """
    case .outputNotLogits(let output, let shape):
      """
      The network's first output "\(output)" has the shape \(shape), but [batch, classes] is \
      needed to compare it with labels or a teacher.
      """
    case .outputsDiffer(let first, let second):
      """
      The networks have different outputs, \(quoted(first)) and \(quoted(second)); only networks \
      with the same outputs can be compared.
      """
    case .patternMatchedNothing(let pattern, let names):
      """
      The pattern "\(pattern)" matches no layer. Layers: \(quoted(names)).
      """
    case .everythingExcluded(let include, let exclude, let names):
      """
      No layer is left: include \(quoted(include)), exclude \(quoted(exclude)). Layers: \
      \(quoted(names)).
      """
    case .noLayers(let task):
      """
      The network has no layer to \(task): no Conv, Gemm or MatMul whose weight is a constant \
      float32 tensor.
      """
    }
  }
}

/// Names in double quotes, at most a dozen of them.
private func quoted(_ names: [String]) -> String {
  if names.isEmpty { return "none" }
  let shown = names.prefix(12).map { "\"\($0)\"" }.joined(separator: ", ")
  return names.count > 12 ? "\(shown) and \(names.count - 12) more" : shown
}
