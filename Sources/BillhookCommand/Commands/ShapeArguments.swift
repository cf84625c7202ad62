internal import ArgumentParser

/// Sizes for inputs whose shapes a network leaves open.
struct ShapeArguments: ParsableArguments {
  @Option(
    help: .init(
      "The shape of an input that the network leaves open; repeat for each input.",
      valueName: "name=1x3x48x320"),
    transform: { text in
      // Input names may hold "=": what follows the last one are the sizes.
      let sizes = text.split(separator: "=").last?.split(separator: "x").map { Int($0) } ?? []
      guard let equals = text.lastIndex(of: "="), equals != text.startIndex, !sizes.isEmpty,
        sizes.allSatisfy({ $0.map { (1...1 << 30).contains($0) } ?? false })
      else { throw ValidationError("Write NAME=SIZExSIZE..., each size from 1 to \(1 << 30).") }
      return (String(text[..<equals]), sizes.compactMap { $0 })
    })
  var shape: [(name: String, sizes: [Int])] = []

  /// By input name; the last one counts.
  var shapes: [String: [Int]] { shape.reduce(into: [:]) { $0[$1.name] = $1.sizes } }
}
