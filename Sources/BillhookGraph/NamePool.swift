/// Names that are not in use yet.
public struct NamePool {
  private var used: Set<String>

  public init(_ graph: Graph) {
    used = graph.allNames
  }

  /// `wanted`, with a number behind it when it is taken.
  public mutating func unused(_ wanted: String) -> String {
    var name = wanted
    var number = 2
    while !used.insert(name).inserted {
      name = "\(wanted)_\(number)"
      number += 1
    }
    return name
  }
}
