/// What tells the functions of a model apart.
struct FunctionName: Hashable, CustomStringConvertible {
  /// ONNX's own domain is "".
  let domain: String
  let name: String
  /// Tells functions of one name apart; most have none.
  let overload: String

  init(of function: Onnx_FunctionProto) {
    domain = Self.canonical(function.domain)
    name = function.name
    overload = function.overload
  }

  /// The function that a node calls, when there is one.
  init(calledBy node: Onnx_NodeProto) {
    domain = Self.canonical(node.domain)
    name = node.opType
    overload = node.overload
  }

  var description: String {
    (domain.isEmpty ? name : "\(domain).\(name)") + (overload.isEmpty ? "" : ":\(overload)")
  }

  /// A domain with one name of the two that ONNX's own has.
  static func canonical(_ domain: String) -> String { domain == "ai.onnx" ? "" : domain }
}
