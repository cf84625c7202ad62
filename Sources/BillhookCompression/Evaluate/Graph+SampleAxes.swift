internal import BillhookGraph

extension Graph {
  /// The axes along which values have their samples: as long as the batch, whatever its size.
  ///
  /// Most values have them along their first axis, but networks that read lines of text or speech
  /// often put the steps first, `[T, N, C]`.
  ///
  /// - Returns: By name; nothing for a value of which the shapes do not tell it.
  func sampleAxes(of names: [String]) -> [String: Int] {
    let (two, three) = (shapes(batchSize: 2), shapes(batchSize: 3))
    var axes: [String: Int] = [:]
    for name in names {
      guard let first = two[name], let second = three[name], first.count == second.count else {
        continue
      }
      axes[name] = first.indices.first { first[$0] == .fixed(2) && second[$0] == .fixed(3) }
    }
    if let batch = fixedBatch, two.isEmpty || three.isEmpty {
      // Reshapes know the one batch size that there is.
      let own = shapes(batchSize: batch)
      for name in names {
        let shape = own[name] ?? []
        let fitting = shape.indices.filter { shape[$0] == .fixed(batch) }
        if fitting.first == 0 || fitting.count == 1 { axes[name] = fitting[0] }
      }
    }
    return axes
  }

  /// The shapes of all values for a batch of a size; none when the graph does not take it.
  private func shapes(batchSize: Int) -> [String: [Dimension]] {
    guard let batch = inputs.first?.shape?.first else { return [:] }
    var graph = self
    var binding: [String: Int] = [:]
    switch batch {
    case .fixed: graph.inputs[0].shape?[0] = .fixed(batchSize)
    case .symbolic(let name): binding[name.isEmpty ? Self.batchSymbol : name] = batchSize
    }
    return ((try? graph.inferTypes(binding: binding)) ?? [:]).mapValues(\.shape)
  }
}
