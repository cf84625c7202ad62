public import BillhookGraph

/// A reason why a plan cannot be compiled or run.
public enum RuntimeError: Error, Equatable, CustomStringConvertible {
  case graph(GraphError)

  public var description: String {
    switch self {
    case .graph(let error): error.description
    }
  }
}
