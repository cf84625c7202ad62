internal import BillhookTensor
internal import OrderedCollections

extension Graph {
  /// Cuts units out of every tensor that knows them, so that the network becomes smaller.
  ///
  /// Reshape targets, the sizes of a Split, where a Slice starts and ends, the `group` of depthwise
  /// convolutions and the shapes that the graph states for inner values follow.
  ///
  /// - Parameters:
  ///   - units: Groups of this very graph with the units to remove, 0..<unitCount each.
  /// - Returns: The smaller graph. Its groups have to be computed anew.
  /// - Throws: ``GraphError`` when a group is frozen, would lose all of its units or of those of a
  ///   part, or is not a group of this graph.
  public func removing(
    _ units: [(group: CouplingGroup, units: [Int])]
  ) throws(GraphError) -> Graph {
    let edit = try UnitSelection(self, units)
    var result = self
    for (place, positions) in edit.positions {
      guard let tensor = result.constant(place.tensor) else { continue }
      result.setConstant(place.tensor, tensor.removing(positions, axis: place.axis))
    }
    for (index, node) in nodes.enumerated() where node.op == "Conv" {
      let group = node.int("group", default: 1)
      // Of other convolutions each group loses as many channels.
      guard group > 1, let weight = node.input(1), let old = constant(weight),
        old.shape.dropFirst().first == 1, let new = result.constant(weight),
        old.shape[0] != new.shape[0]
      else { continue }
      result.nodes[index].attributes["group"] = .int(new.shape[0] / (old.shape[0] / group))
    }
    var readers = consumers().mapValues(\.count)
    for output in outputs { readers[output.name, default: 0] += 1 }
    var names = NamePool(self)
    for stated in edit.analysis.stated {
      result.restate(stated, without: edit.removed, readers: &readers, names: &names)
    }
    try result.refreshDeclaredShapes()
    try result.verify()
    return result
  }

  /// Writes zeros wherever a unit's numbers are, so that the network computes what the smaller one
  /// would, in its old shape.
  ///
  /// Variances and quantization scales keep their values: they divide.
  ///
  /// - Parameters:
  ///   - units: As for ``removing(_:)``.
  public func masking(
    _ units: [(group: CouplingGroup, units: [Int])]
  ) throws(GraphError) -> Graph {
    let edit = try UnitSelection(self, units)
    var result = self
    for (place, positions) in edit.positions where !edit.divisors.contains(place.tensor) {
      guard let tensor = result.constant(place.tensor) else { continue }
      result.setConstant(place.tensor, tensor.zeroing(positions, axis: place.axis))
    }
    return result
  }

  /// Corrects the shapes that the graph states for inner values and that are no longer true.
  private mutating func refreshDeclaredShapes() throws(GraphError) {
    let types = try inferTypes()
    for index in valueInfos.indices {
      guard let type = types[valueInfos[index].name], let shape = valueInfos[index].shape else {
        continue
      }
      if !ValueType(type.elementType, shape).isCompatible(with: type) {
        valueInfos[index].shape = type.shape
      }
    }
  }
}

/// Units to remove, checked, and where they lie.
private struct UnitSelection {
  struct Place: Hashable {
    var tensor: String
    var axis: Int
  }

  var analysis: CouplingAnalysis
  /// Indices to cut, ascending, by tensor and axis.
  var positions: OrderedDictionary<Place, [Int]> = [:]
  /// The channels that go, as they stand in tracks.
  var removed: Set<ChannelUnion.Channel> = []
  /// Tensors that something is divided by.
  var divisors: Set<String> = []

  init(
    _ graph: Graph, _ units: [(group: CouplingGroup, units: [Int])]
  ) throws(GraphError) {
    analysis = try CouplingAnalysis(graph)
    let (fresh, places) = analysis.groups()
    var chosen: [Int: Set<Int>] = [:]
    for (group, units) in units {
      let match = fresh.firstIndex { $0.name == group.name && $0.slices == group.slices }
      guard let match, chosen[match] == nil else {
        throw .staleGroup(group: group.name, tensor: group.slices.first?.tensor ?? "")
      }
      if let reason = fresh[match].frozenReason ?? group.frozenReason, !units.isEmpty {
        throw .frozenGroup(group: group.name, reason: reason)
      }
      if let wrong = units.first(where: { !(0..<group.unitCount).contains($0) }) {
        throw .unknownUnit(group: group.name, unit: wrong, unitCount: group.unitCount)
      }
      let set = Set(units)
      guard set.count < group.unitCount || set.isEmpty else {
        throw .allUnitsRemoved(group: group.name, unitCount: group.unitCount)
      }
      if let part = fresh[match].parts.first(where: { set.isSuperset(of: $0.units) }) {
        throw .partRemoved(group: group.name, value: part.value, unitCount: part.units.count)
      }
      chosen[match] = set
      for slice in group.slices {
        let cut = set.flatMap { slice.positions[$0] }
        if cut.isEmpty { continue }
        // Several nodes may read one tensor; it is cut once.
        let place = Place(tensor: slice.tensor, axis: slice.axis)
        positions[place] = Set(positions[place, default: []]).union(cut).sorted()
      }
    }
    for (channel, place) in places where chosen[place.group]?.contains(place.unit) == true {
      removed.insert(channel)
    }
    for channel in analysis.stated.flatMap(\.channels) {
      if removed.contains(analysis.union.find(channel)) { removed.insert(channel) }
    }
    for node in graph.nodes {
      switch node.op {
      case "BatchNormalization": divisors.insert(node.inputs[4])
      case "QuantizeLinear", "DequantizeLinear", "Div": divisors.insert(node.inputs[1])
      default: break
      }
    }
  }
}
