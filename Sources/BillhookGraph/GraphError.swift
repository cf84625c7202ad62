/// A reason why a graph cannot be used.
public enum GraphError: Error, Equatable, CustomStringConvertible {
  case unsupportedOperator(op: String, domain: String, node: String, supported: [String])

  public var description: String {
    switch self {
    case .unsupportedOperator(let op, let domain, let node, let supported):
      """
      Node "\(node)" uses the operator "\(domain.isEmpty ? op : "\(domain).\(op)")", which is not \
      supported. Supported: \(supported.joined(separator: ", ")).
      """
    }
  }
}
