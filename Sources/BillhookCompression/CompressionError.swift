public import BillhookGraph

/// A reason why a network cannot be compressed as asked.
public enum CompressionError: Error, Equatable, CustomStringConvertible {
  case graph(GraphError)
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
  case unknownOutput(output: String, known: [String])
  case outputsNotFloating([String])
  case outputNotPerSample(output: String, shape: [Int], samples: Int)
  case labelsOfRows(data: String, rows: Int)
  case featureRows(feature: String, shape: [Int], rows: Int, samples: Int)
  case outputsDiffer(first: [String], second: [String])
  case outputNotFinite(network: String, output: String, data: String)
  // Choice of layers.
  case patternMatchedNothing(pattern: String, names: [String])
  case everythingExcluded(include: [String], exclude: [String], names: [String])
  case noLayers(task: String)
  case checkpointWithoutWeights(task: String, count: Int)
  case graphNeeded(task: String)
  case settingOutOfRange(String, String, String)
  // Pruning.
  case dataNeededByScorer(plugin: String, statistics: [String])
  case statisticsNotFinite(layer: String)
  case granularityUnsupported(plugin: String, wanted: String, supported: [String])
  case globalScaleNeeded(plugin: String)
  case weightNotFinite(layer: String, place: [Int], value: String)
  case scoresNotFinite(plugin: String, layer: String)
  case selectionFailed(plugin: String)
  case everythingSkipped(plugin: String)
  /// `count` units, such as channels, are ranked together, and the ratio takes none of them.
  case ratioTakesNothing(ratio: Double, count: Int, unit: String)
  case roundingTakesNothing(multiple: Int, channels: Int)
  case patternTakesNothing(pattern: String)
  /// - Parameter openInputs: Inputs of which more than the first size is open, each with its shape.
  case allGroupsFrozen(groups: [String], openInputs: [String])
  case notEquivalent(difference: Double, range: Double, samples: Int)
  // Training.
  case tooFewSamples(data: String, count: Int, needed: Int, task: String)
  case recordWithoutViews
  case teacherCount(data: String, samples: Int, teacher: Int)
  case teacherShape(teacher: [Int], student: [Int])
  case teacherWithoutViews
  case teacherOtherViews(recorded: Augmentation, wanted: Augmentation)
  case lossNotFinite(epoch: Int, step: Int, loss: String, rate: Float)
  case trainedNotFinite(tensor: String, rate: Float)
  case zerosLost(tensor: String, before: Int, after: Int)
  // Quantization.
  case dataNeededForCalibration
  case percentileOutOfRange(Double)
  case activationNotFinite(value: String)
  case activationLayout(plugin: String, value: String)
  case nothingQuantized(reasons: [String])
  case storedTensor(name: String, problem: String)
  /// `expected` is nil when the plugin leaves the tensor out.
  case otherFormat(name: String, plugin: String, found: String, expected: String?)
  case opsetTooOld(opset: Int, needed: Int, node: String, op: String)

  public var description: String {
    switch self {
    case .graph(let error): error.description
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
      The data "\(data)" has \(channels) channel\(channels == 1 ? "" : "s") in the input \
      "\(input)" but its mean and standard deviation have \(found) values; give \
      \(channels == 1 ? "1" : "1 or \(channels)").
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
      needed to compare it with labels.
      """
    case .unknownOutput(let output, let known):
      "The network has no output \"\(output)\". Outputs: \(quoted(known))."
    case .outputsNotFloating(let names):
      """
      The network's \(names.count == 1 ? "output" : "outputs") \(quoted(names)) \
      \(names.count == 1 ? "holds" : "hold") no floating-point numbers, which are needed to \
      compare networks; choose another output.
      """
    case .outputNotPerSample(let output, let shape, let samples):
      """
      The output "\(output)" has the shape \(shape) for \(samples) samples; its first axis must be \
      that of the samples, or another one that the network's shapes show to be. Choose another \
      output with --network-output (in a recipe network_output).
      """
    case .labelsOfRows(let data, let rows):
      """
      The data "\(data)" has one label a sample, but the network's output tells \(rows) rows of \
      classes for each; leave the labels out.
      """
    case .featureRows(let feature, let shape, let rows, let samples):
      """
      The tensor "\(feature)" has the shape \(shape) for \(samples) samples, but the compared \
      output has \(rows) rows a sample; the axes of a feature must begin with those.
      """
    case .outputsDiffer(let first, let second):
      """
      The networks have different outputs, \(quoted(first)) and \(quoted(second)); only networks \
      with the same outputs can be compared.
      """
    case .outputNotFinite(let network, let output, let data):
      """
      The output "\(output)" of the network "\(network)" is not finite on the data "\(data)"; \
      check the network's weights, and whether the data is scaled as the network expects.
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
      floating-point tensor.
      """
    case .checkpointWithoutWeights(let task, let count):
      """
      The checkpoint has no tensor to \(task): none of its \(count) tensors is a floating-point \
      tensor of rank 2 or more.
      """
    case .graphNeeded(let task):
      """
      A checkpoint holds tensors but no network, and \(task) needs the network; give an ONNX file.
      """
    case .settingOutOfRange(let name, let found, let expected):
      "The \(name) is \(found) but must be \(expected)."
    case .dataNeededByScorer(let plugin, let statistics):
      """
      The scorer "\(plugin)" needs statistics of the network's activations \
      (\(statistics.joined(separator: ", "))), but there is no data; name some with --data, for \
      example --data fashion-mnist:train,limit=2000.
      """
    case .statisticsNotFinite(let layer):
      """
      The activations of the layer "\(layer)" are not finite; check the network and its data with \
      evaluate.
      """
    case .granularityUnsupported(let plugin, let wanted, let supported):
      """
      The scorer "\(plugin)" cannot score by \(wanted); it scores by \(quoted(supported)). Choose \
      another granularity or scorer.
      """
    case .globalScaleNeeded(let plugin):
      """
      The scores of "\(plugin)" cannot be compared across layers, which a global ranking needs; \
      choose the scope "layer".
      """
    case .weightNotFinite(let layer, let place, let value):
      """
      The weight of "\(layer)" is \(value) at \(place), but only finite weights can be pruned; \
      train or export the network again, or leave the layer alone with --exclude (in a recipe \
      exclude).
      """
    case .scoresNotFinite(let plugin, let layer):
      """
      The scorer "\(plugin)" gave scores for the layer "\(layer)" that are not finite; check the \
      layer's weights with inspect.
      """
    case .selectionFailed(let plugin):
      """
      The scorer "\(plugin)" gave different scores for the same weights when it was asked twice; \
      it must be deterministic, or not declare that it scores in chunks.
      """
    case .everythingSkipped(let plugin):
      "The scorer \"\(plugin)\" left every layer out, so nothing was pruned; choose another scorer."
    case .ratioTakesNothing(let ratio, let count, let unit):
      """
      Nothing was pruned: the ratio \(ratio) takes none of the \(count) \(unit)s that are ranked \
      together. Choose a larger ratio.
      """
    case .roundingTakesNothing(let multiple, let channels):
      """
      Nothing was pruned: of at most \(channels) channels all stay so that their number is a \
      multiple of \(multiple). Choose a smaller number for --round-to (in a recipe round_to), or a \
      larger ratio.
      """
    case .patternTakesNothing(let pattern):
      """
      Nothing was pruned: no layer has enough neighbours along its input axis for the pattern \
      \(pattern). Choose another pattern, or a ratio.
      """
    case .allGroupsFrozen(let groups, let openInputs):
      "No channel can be removed. "
        + (groups.isEmpty
          ? "No chosen layer has channels that can be followed to everything that reads them"
          : groups.prefix(12).joined(separator: "; "))
        + ". Prune by element, or choose other layers."
        + (openInputs.isEmpty
          ? ""
          : " With fixed sizes in place of \(openInputs.joined(separator: ", ")) more may be "
            + "followed: billhook inspect --shape shows it; export the network with such sizes.")
    case .notEquivalent(let difference, let range, let samples):
      """
      The network without the pruned channels differs from the one in which they are zero: by \
      \(difference) on \(samples) samples, where 1e-4 of the output range \(range) is allowed. \
      Nothing was written; use mask-only, and report the network.
      """
    case .tooFewSamples(let data, let count, let needed, let task):
      """
      The data "\(data)" has \(count) samples but \(task) needs at least \(needed), one batch; \
      choose a smaller batch or more data.
      """
    case .recordWithoutViews:
      """
      A teacher can only be recorded with an augmentation that has a number of views; set views, \
      for example to 4.
      """
    case .teacherCount(let data, let samples, let teacher):
      """
      The teacher was recorded on \(teacher) samples but the data "\(data)" has \(samples); record \
      it again on this data.
      """
    case .teacherShape(let teacher, let student):
      """
      The teacher's outputs have the shape \(teacher) but the student's have \(student), as rows of \
      classes; both must have the same.
      """
    case .teacherWithoutViews:
      """
      The teacher was recorded without augmentation, so it has no outputs for shifted or flipped \
      images; record it with views, or train without augmentation.
      """
    case .teacherOtherViews(let recorded, let wanted):
      """
      The teacher was recorded with \(recorded), but training asks for \(wanted); use the same \
      augmentation, or record the teacher again.
      """
    case .lossNotFinite(let epoch, let step, let loss, let rate):
      """
      The loss is \(loss) at step \(step) of epoch \(epoch) with the learning rate \(rate); try a \
      tenth of that rate, or a warm-up.
      """
    case .trainedNotFinite(let tensor, let rate):
      """
      The tensor "\(tensor)" is not finite after training with the learning rate \(rate); try a \
      tenth of that rate, or a warm-up.
      """
    case .zerosLost(let tensor, let before, let after):
      """
      The tensor "\(tensor)" had \(before) zeros before training and has \(after) afterwards; \
      pruned elements must stay zero. This is an error of the training plan: please report it.
      """
    case .dataNeededForCalibration:
      """
      Static quantization needs data to find the ranges of activations, but there is none; name \
      some with --data, for example --data fashion-mnist:train,limit=1000, or choose the mode \
      dynamic or weight-only.
      """
    case .percentileOutOfRange(let value):
      "The calibration percentile is \(value) but must be 50 to 100; try 99.99."
    case .activationNotFinite(let value):
      """
      The value "\(value)" is not finite on the calibration data; check the network and its data \
      with evaluate.
      """
    case .activationLayout(let plugin, let value):
      """
      The quantizer "\(plugin)" leaves the activation "\(value)" out, or does not claim to \
      quantize as ONNX's QuantizeLinear does; static quantization needs that. Choose dynamic or \
      weight-only.
      """
    case .storedTensor(let name, let problem):
      """
      The quantized tensor "\(name)" does not hold what its layout says: \(problem). Quantize the \
      original checkpoint again.
      """
    case .otherFormat(let name, let plugin, let found, let expected):
      """
      The quantizer "\(plugin)" cannot read the tensor "\(name)": the file has it as \(found), and \
      with these parameters the plugin \(expected.map { "stores it as \($0)" } ?? "leaves it out"). \
      Name the plugin that wrote the file with --quantizer, and its parameters with --param.
      """
    case .nothingQuantized(let reasons):
      "No layer was quantized. \(reasons.prefix(12).joined(separator: "; "))."
    case .opsetTooOld(let opset, let needed, let node, let op):
      """
      The network uses operator set \(opset), and quantization needs \(needed); the node "\(node)" \
      (\(op)) may mean something else there, so the network was not raised. Export it again with \
      operator set \(needed) or higher.
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
