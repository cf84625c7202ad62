internal import BillhookFormats
internal import BillhookGraph

/// A function of a model, to be written by hand.
struct FunctionBytes {
  var name: String
  var inputs: [String]
  var outputs: [String]
  var domain = "own"
  var overload = ""
  var opset = 17
  /// Names of attributes without a default.
  var attributes: [String] = []
  /// Attributes with their defaults.
  var defaults: [[UInt8]] = []
  var nodes: [[UInt8]]

  /// Nodes of which each negates what the one before it makes.
  static func chain(_ names: [String]) -> [[UInt8]] {
    zip(names, names.dropFirst()).map { WireBytes.node("Neg", [$0], [$1]) }
  }

  /// A model of operator set 17 with the input `x` and the output `y`.
  static func model(
    _ functions: [FunctionBytes], nodes: [[UInt8]], graph: (inout WireBytes) -> Void = { _ in }
  ) -> [UInt8] {
    var wire = WireBytes(
      bytes: WireBytes.model {
        $0.value(11, "x")
        graph(&$0)
        for node in nodes { $0.data(1, node) }
        $0.value(12, "y")
      })
    for function in functions { wire.data(25, function.bytes) }
    return wire.bytes
  }

  var bytes: [UInt8] {
    WireBytes.message { function in
      function.text(1, name)
      for input in inputs { function.text(4, input) }
      for output in outputs { function.text(5, output) }
      for attribute in attributes { function.text(6, attribute) }
      for node in nodes { function.data(7, node) }
      function.message(9) { $0.integer(2, opset) }
      function.text(10, domain)
      for attribute in defaults { function.data(11, attribute) }
      if !overload.isEmpty { function.text(13, overload) }
    }
  }
}

extension WireBytes {
  static func node(
    _ op: String, _ inputs: [String], _ outputs: [String], name: String = "", domain: String = "",
    overload: String = "", attributes: [[UInt8]] = []
  ) -> [UInt8] {
    message { node in
      for input in inputs { node.text(1, input) }
      for output in outputs { node.text(2, output) }
      if !name.isEmpty { node.text(3, name) }
      node.text(4, op)
      for attribute in attributes { node.data(5, attribute) }
      if !domain.isEmpty { node.text(7, domain) }
      if !overload.isEmpty { node.text(8, overload) }
    }
  }

  static func attribute(_ name: String, float value: Float) -> [UInt8] {
    message {
      $0.text(1, name)
      $0.float(2, value)
      $0.integer(20, 1)
    }
  }

  /// A subgraph without inputs.
  static func attribute(_ name: String, nodes: [[UInt8]], output: String) -> [UInt8] {
    message {
      $0.text(1, name)
      $0.message(6) { graph in
        for node in nodes { graph.data(1, node) }
        graph.value(12, output)
      }
      $0.integer(20, 5)
    }
  }

  /// An attribute that is what the call of the function says.
  static func attribute(_ name: String, reference: String) -> [UInt8] {
    message {
      $0.text(1, name)
      $0.integer(20, 1)
      $0.text(21, reference)
    }
  }
}
