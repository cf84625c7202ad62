import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections

/// One form of an operator whose gradient is compared with differences.
struct GradientCase: CustomStringConvertible, Sendable {
  /// What a node is given.
  enum Input: Sendable {
    /// Random 64-bit numbers in a range.
    case random([Int], ClosedRange<Double>)
    /// Differentiable numbers that are given.
    case numbers(Tensor)
    /// What is no subject of differentiation: indices, axes, conditions, sizes.
    case fixed(Tensor)
    case none

    static func random(_ shape: Int...) -> Input { .random(shape, -1...1) }
    static func positive(_ shape: Int...) -> Input { .random(shape, 0.3...2) }
    static func integers(_ numbers: [Int], _ shape: [Int]? = nil) -> Input {
      .fixed(Tensor(numbers.map { Int64($0) }, shape: shape ?? [numbers.count]))
    }
    static func fixed(_ numbers: [Double]) -> Input { .fixed(Tensor(numbers)) }
  }

  var op: String
  var form: String
  var inputs: [Input]
  var attributes: OrderedDictionary<String, Attribute>
  var outputs: Int
  var opset: Int
  /// What subgraphs take from outside: vectors of two.
  var captured: [String]
  /// How far the inputs are moved; DequantizeLinear computes in 32 bits, which need more.
  var step: Double

  init(
    _ op: String, _ form: String, _ inputs: [Input],
    _ attributes: OrderedDictionary<String, Attribute> = [:], outputs: Int = 1, opset: Int = 18,
    captured: [String] = [],
    step: Double = 1e-5
  ) {
    self.op = op
    self.form = form
    self.inputs = inputs
    self.attributes = attributes
    self.outputs = outputs
    self.opset = opset
    self.captured = captured
    self.step = step
  }

  init(
    _ op: String, _ inputs: [Input], _ attributes: OrderedDictionary<String, Attribute> = [:],
    outputs: Int = 1, opset: Int = 18, captured: [String] = [],
    step: Double = 1e-5
  ) {
    self.init(
      op, "", inputs, attributes, outputs: outputs, opset: opset, captured: captured, step: step)
  }

  var description: String { form.isEmpty ? op : "\(op) \(form)" }

  var node: Node {
    var names = inputs.enumerated().map { index, input -> String in
      if case .none = input { "" } else { "x\(index)" }
    }
    while names.last == "" { names.removeLast() }
    return Node(
      op, name: "node", inputs: names, outputs: (0..<outputs).map { "y\($0)" },
      attributes: attributes)
  }

  /// The inputs' tensors, and which of them are differentiated.
  func values(seed: UInt64) -> (tensors: [String: Tensor], differentiable: [String]) {
    var tensors: [String: Tensor] = [:]
    var differentiable: [String] = []
    for (index, input) in inputs.enumerated() {
      let name = "x\(index)"
      switch input {
      case .random(let shape, let range):
        var random = CounterRandom(seed: seed, stream: "\(description) \(name)")
        let numbers = (0..<shape.reduce(1, *)).map { _ in
          range.lowerBound
            + (range.upperBound - range.lowerBound)
            * Double(random.nextWord()) / Double(UInt32.max)
        }
        tensors[name] = Tensor(numbers, shape: shape)
        differentiable.append(name)
      case .numbers(let tensor):
        tensors[name] = tensor.converted(to: .float64)
        differentiable.append(name)
      case .fixed(let tensor): tensors[name] = tensor
      case .none: break
      }
    }
    for name in captured {
      tensors[name] = .seeded([2], seed: seed, name).converted(to: .float64)
      differentiable.append(name)
    }
    return (tensors, differentiable)
  }
}
