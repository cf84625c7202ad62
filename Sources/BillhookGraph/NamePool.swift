/// Names that are not in use yet.
public struct NamePool {
  private var used: Set<String>
  /// The number to try next behind each name that was taken, so that many alike stay cheap.
  private var numbers: [String: Int] = [:]

  public init(_ graph: Graph) {
    self.init(graph.allNames)
  }

  /// - Parameter used: The names that are in use.
  public init(_ used: Set<String>) {
    self.used = used
  }

  /// `wanted`, with a number behind it when it is taken.
  public mutating func unused(_ wanted: String) -> String {
    if used.insert(wanted).inserted { return wanted }
    var number = numbers[wanted] ?? 2
    while !used.insert("\(wanted)_\(number)").inserted { number += 1 }
    numbers[wanted] = number + 1
    return "\(wanted)_\(number)"
  }
}
