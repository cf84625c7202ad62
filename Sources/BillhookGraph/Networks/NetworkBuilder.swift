internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

/// Appends layers to a graph, each to the value that the last one made.
struct NetworkBuilder {
  var graph: Graph
  /// The value that the next layer reads, and its channels.
  var value = "input"
  var channels: Int
  let seed: UInt64

  init(name: String, channels: Int, image: Int, seed: UInt64) {
    graph = Graph(
      name: name,
      inputs: [
        ValueInfo(
          "input",
          shape: [.symbolic(Graph.batchSymbol), .fixed(channels), .fixed(image), .fixed(image)])
      ])
    self.channels = channels
    self.seed = seed
  }

  /// A square convolution that keeps the image's size at stride 1, unless `padding` says otherwise.
  mutating func conv(
    _ name: String, _ outputs: Int, kernel: Int = 3, stride: Int = 1, padding: Int? = nil,
    bias: Bool = true
  ) {
    let pad = padding ?? kernel / 2
    let weight = heNormal(
      "\(name).weight", [outputs, channels, kernel, kernel], fanIn: channels * kernel * kernel)
    let inputs = [value, weight] + (bias ? [constant("\(name).bias", outputs, 0)] : [])
    append(
      "Conv", name, inputs,
      [
        "kernel_shape": .ints([kernel, kernel]), "pads": .ints([pad, pad, pad, pad]),
        "strides": .ints([stride, stride]),
      ])
    channels = outputs
  }

  mutating func batchNorm(_ name: String) {
    let parameters = [("scale", 1), ("bias", 0), ("mean", 0), ("variance", 1)].map {
      constant("\(name).\($0.0)", channels, $0.1)
    }
    append(
      "BatchNormalization", name, [value] + parameters,
      ["epsilon": .float(1e-5), "momentum": .float(0.9)])
  }

  mutating func relu(_ name: String) { append("Relu", name, [value]) }

  mutating func maxPool(_ name: String) {
    append(
      "MaxPool", name, [value], ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
  }

  mutating func globalAveragePool(_ name: String) { append("GlobalAveragePool", name, [value]) }

  /// Joins channels and pixels; `area` is the number of pixels a channel has here.
  mutating func flatten(_ name: String, area: Int) {
    append("Flatten", name, [value], ["axis": .int(1)])
    channels *= area
  }

  /// A fully connected layer; weight `[outputs, inputs]`.
  mutating func gemm(_ name: String, _ outputs: Int) {
    let weight = heNormal("\(name).weight", [outputs, channels], fanIn: channels)
    append(
      "Gemm", name, [value, weight, constant("\(name).bias", outputs, 0)], ["transB": .int(1)])
    channels = outputs
  }

  mutating func add(_ name: String, _ other: String) { append("Add", name, [value, other]) }

  /// The graph, with the last value as its output `logits`.
  consuming func finished() -> Graph {
    graph.nodes[graph.nodes.count - 1].outputs = ["logits"]
    graph.outputs = [
      ValueInfo("logits", shape: [.symbolic(Graph.batchSymbol), .fixed(channels)])
    ]
    return graph
  }

  private mutating func append(
    _ op: String, _ name: String, _ inputs: [String],
    _ attributes: OrderedDictionary<String, Attribute> = [:]
  ) {
    value = "\(name).output"
    graph.nodes.append(
      Node(op, name: name, inputs: inputs, outputs: [value], attributes: attributes))
  }

  private mutating func constant(_ name: String, _ count: Int, _ number: Float) -> String {
    graph.initializers[name] = Initializer(Tensor([Float](repeating: number, count: count)))
    return name
  }

  /// Normal numbers of standard deviation `√(2 / fanIn)`, which keeps the variance of activations
  /// through layers with ReLU.
  ///
  /// Source: He, Zhang, Ren and Sun, *Delving Deep into Rectifiers*, ICCV 2015, section 2.2,
  /// arXiv:1502.01852. Our deviation: the last layer, behind which no ReLU follows, gets the same.
  private mutating func heNormal(_ name: String, _ shape: [Int], fanIn: Int) -> String {
    let deviation = (2 / Double(fanIn)).squareRoot()
    let count = shape.reduce(1, *)
    let random = CounterRandom(seed: seed, stream: name)
    var numbers: [Float] = []
    numbers.reserveCapacity(count + 3)
    var index: UInt64 = 0
    while numbers.count < count {
      let words = CounterRandom.block(seed: random.seed, stream: random.stream, index: index)
      index += 1
      for pair in 0..<2 {
        // Box and Muller, 1958; the half keeps the logarithm away from 0.
        let radius = (-2 * log((Double(words[2 * pair]) + 0.5) * 0x1p-32)).squareRoot()
        let angle = 2 * Double.pi * Double(words[2 * pair + 1]) * 0x1p-32
        numbers.append(Float(deviation * radius * cos(angle)))
        numbers.append(Float(deviation * radius * sin(angle)))
      }
    }
    graph.initializers[name] = Initializer(Tensor(Array(numbers[..<count]), shape: shape))
    return name
  }
}
