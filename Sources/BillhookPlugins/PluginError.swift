/// A reason why a plugin cannot be loaded or did not do its work.
public enum PluginError: Error, Equatable, CustomStringConvertible {
  case skeleton(String)
  public var description: String {
    switch self {
    case .skeleton(let text): text
    }
  }
}
