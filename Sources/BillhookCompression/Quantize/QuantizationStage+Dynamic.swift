internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookTensor
internal import OrderedCollections

extension QuantizationStage {
  /// Replaces each layer by DynamicQuantizeLinear, an integer operator, and the way back to float:
  ///
  ///     x → DynamicQuantizeLinear → ConvInteger or MatMulInteger → Cast → Mul(scales) → Add(bias)
  ///
  /// The operator fixes the activation's form, uint8 with a zero point per tensor; the quantizer
  /// decides over the weights.
  mutating func makeDynamic() {
    var dynamic: [String: [String]] = [:]
    for entry in layers {
      let index = graph.nodes.firstIndex { $0.outputs.contains(entry.layer.output) }!
      let node = graph.nodes[index]
      var nodes: [Node] = []
      let input = entry.layer.input
      if dynamic[input] == nil {
        let outputs = ["quantized", "dynamic_scale", "dynamic_zero_point"].map {
          names.unused("\(input)_\($0)")
        }
        dynamic[input] = outputs
        nodes.append(
          Node(
            "DynamicQuantizeLinear", name: names.unused("\(input)_quantize"), inputs: [input],
            outputs: outputs))
      }
      nodes += integerNodes(entry, node, input: dynamic[input]!)
      graph.nodes.replaceSubrange(index...index, with: nodes)
    }
    for weight in Set(layers.map(\.layer.weight)).sorted() { graph.removeConstant(weight) }
    graph.dropUnreadConstants(layers.compactMap(\.layer.bias))
  }

  private mutating func integerNodes(_ entry: Layer, _ node: Node, input: [String]) -> [Node] {
    let layer = entry.layer
    let isConv = layer.op == "Conv"
    // A vector along the output channels, as an operand of the output.
    let channelShape =
      isConv
      ? [layer.outputChannels] + [Int](repeating: 1, count: layer.shape.count - 2)
      : [layer.outputChannels]
    var integers = entry.quantized.integers
    if layer.op == "Gemm", layer.outAxis == 0 { integers = integers.transposed([1, 0]) }
    let weight = add("\(layer.weight)_quantized", integers)
    var operands = [input[0], weight, input[2]]
    if entry.quantized.zeroPoints.contains(where: { $0 != 0 }) {
      operands.append(add("\(layer.weight)_zero_point", entry.quantized.parameters.zeroPoint))
    }
    let base = layer.output
    let sums = names.unused("\(base)_integers")
    let floats = names.unused("\(base)_sums")
    let scale = names.unused("\(base)_scale")
    let isPerTensor = entry.quantized.axis == nil
    let weightScale = add(
      "\(layer.weight)_scale",
      entry.quantized.parameters.scale.reshaped(isPerTensor ? [] : channelShape))
    let hasBias = node.input(2) != nil
    let scaled = hasBias ? names.unused("\(base)_scaled") : base
    var nodes = [
      Node(
        isConv ? "ConvInteger" : "MatMulInteger", name: names.unused("\(node.displayName)_integer"),
        inputs: operands, outputs: [sums], attributes: isConv ? node.attributes : [:]),
      Node(
        "Cast", name: names.unused("\(base)_cast"), inputs: [sums], outputs: [floats],
        attributes: ["to": .int(Int(ElementType.float32.rawValue))]),
      Node(
        "Mul", name: names.unused("\(base)_scales"), inputs: [input[1], weightScale],
        outputs: [scale]),
      Node(
        "Mul", name: hasBias ? names.unused("\(base)_scale_back") : node.name,
        inputs: [floats, scale], outputs: [scaled]),
    ]
    if let bias = node.input(2) {
      var operand = bias
      if isConv, let tensor = graph.constant(bias) {
        operand = add("\(bias)_channels", tensor.reshaped(channelShape))
      }
      nodes.append(
        Node("Add", name: node.name, inputs: [scaled, operand], outputs: [base]))
    }
    return nodes
  }
}
