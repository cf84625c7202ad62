internal import BillhookTensor

extension Graph {
  /// Finds which channels can only be removed together.
  ///
  /// Channels are made by Conv, Gemm, and MatMul with a constant matrix; each group holds the
  /// channels that one such node makes and those that others tie to them. Channels that must stay are
  /// groups of their own, with the reason. The order is that of the first producing nodes.
  ///
  /// - Throws: ``GraphError`` when the graph is wrong.
  public func couplingGroups() throws(GraphError) -> [CouplingGroup] {
    var analysis = try CouplingAnalysis(self)
    return analysis.groups().groups
  }
}

extension CouplingAnalysis {
  /// Where a channel ended up.
  struct Place {
    var group: Int
    var unit: Int
  }

  /// The groups, and the place in them of each channel's representative.
  mutating func groups() -> (groups: [CouplingGroup], places: [ChannelUnion.Channel: Place]) {
    // Channels that one node makes are one group, even when they are tied to different others; but what
    // happens to some of them does not keep the others.
    var links = ChannelUnion()
    let origins = records.filter(\.isOrigin).map { record in
      var copy = record
      copy.channels = record.channels.map { union.find($0) }
      return copy
    }
    _ = links.make((origins.flatMap(\.channels).max() ?? -1) + 1)
    for origin in origins {
      let isFree = origin.channels.map { union.reason($0) == nil }
      for wanted in [true, false] {
        let own = zip(origin.channels, isFree).filter { $0.1 == wanted }.map(\.0)
        for channel in own.dropFirst() { links.unite(own[0], channel) }
      }
    }
    var groups: [CouplingGroup] = []
    var groupOf: [ChannelUnion.Channel: Int] = [:]
    var places: [ChannelUnion.Channel: Place] = [:]
    for origin in origins {
      for channel in origin.channels where places[channel] == nil {
        let link = links.find(channel)
        let group = groupOf[link] ?? groups.count
        if group == groups.count {
          groupOf[link] = group
          groups.append(
            CouplingGroup(
              name: graph.nodes[origin.nodeIndex].displayName, unitCount: 0, slices: [],
              frozenReason: nil))
        }
        places[channel] = Place(group: group, unit: groups[group].unitCount)
        groups[group].unitCount += 1
        groups[group].frozenReason = groups[group].frozenReason ?? union.reason(channel)
      }
    }
    for record in records {
      var positions: [Int: [[Int]]] = [:]
      for (position, channel) in record.channels.enumerated() {
        // Channels that no node of the graph makes, such as an input's, are in no group.
        guard let place = places[union.find(channel)] else { continue }
        if positions[place.group] == nil {
          let unitCount = groups[place.group].unitCount
          positions[place.group] = [[Int]](repeating: [], count: unitCount)
        }
        positions[place.group]?[place.unit].append(position)
      }
      for (group, positions) in positions.sorted(by: { $0.key < $1.key }) {
        groups[group].slices.append(
          CouplingGroup.Slice(
            nodeIndex: record.nodeIndex, node: graph.nodes[record.nodeIndex].displayName,
            tensor: record.tensor, axis: record.axis, role: record.role, positions: positions))
      }
    }
    // Most values have the channels of the one before.
    var seen: Set<[ChannelUnion.Channel]> = []
    var known: Set<[Int]> = []
    for output in graph.nodes.flatMap(\.outputs) {
      guard let channels = tracks[output]?.channels, seen.insert(channels).inserted,
        let (group, units) = part(of: channels, groups, places),
        known.insert([group] + units).inserted
      else { continue }
      groups[group].parts.append(CouplingGroup.Part(value: output, units: units))
    }
    return (groups, places)
  }

  /// The units, not all of a group's, of which one has to stay so that a value of these channels keeps
  /// one; nil where one does anyway.
  private mutating func part(
    of channels: [ChannelUnion.Channel], _ groups: [CouplingGroup],
    _ places: [ChannelUnion.Channel: Place]
  ) -> (group: Int, units: [Int])? {
    var units: [Int: Set<Int>] = [:]
    for channel in channels {
      guard let place = places[union.find(channel)], groups[place.group].frozenReason == nil else {
        return nil
      }
      units[place.group, default: []].insert(place.unit)
    }
    // Of a whole group one unit stays in any case.
    guard units.allSatisfy({ $1.count < groups[$0].unitCount }), let group = units.keys.min() else {
      return nil
    }
    return (group, units[group, default: []].sorted())
  }
}
