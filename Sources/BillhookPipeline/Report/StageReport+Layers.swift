internal import BillhookCompression

extension StageReport {
  /// What the stage did to each layer, as text.
  func layerTable() -> String {
    switch record {
    case .none: costTable()
    case .train(let record): epochTable(record) + "\n" + costTable()
    case .distill(let record): epochTable(record) + "\n" + costTable()
    case .prune(let record): pruneTable(record)
    case .quantize(let record): quantizeTable(record)
    }
  }

  private func costTable() -> String {
    var table = TextTable([
      ("layer", .left), ("operator", .left), ("weight", .left), ("type", .left),
      ("parameters", .right), ("MACs", .right), ("sparsity", .right),
    ])
    for layer in layers {
      table.add([
        layer.name, layer.op, shape(layer.shape), layer.elementType,
        NumberText.count(layer.parameters), NumberText.magnitude(layer.macs),
        NumberText.fraction(layer.sparsity),
      ])
    }
    return table.text()
  }

  private func epochTable(_ record: TrainRecord) -> String {
    var table = TextTable([
      ("epoch", .right), ("steps", .right), ("mean loss", .right), ("last rate", .right),
    ])
    for epoch in record.epochs {
      table.add([
        "\(epoch.epoch)", NumberText.count(epoch.steps),
        NumberText.fixed(epoch.meanLoss, digits: 5),
        NumberText.fixed(Double(epoch.learningRate), digits: 6),
      ])
    }
    return table.text()
  }

  private func pruneTable(_ record: PruneRecord) -> String {
    var table = TextTable([
      ("layer", .left), ("operator", .left), ("before", .left), ("after", .left),
      ("pruned", .right), ("sparsity", .right), ("left alone because", .left),
    ])
    for layer in record.layers {
      table.add([
        layer.name, layer.op, shape(layer.shapeBefore), shape(layer.shapeAfter),
        NumberText.count(layer.pruned), NumberText.fraction(layer.sparsity), layer.skipped ?? "",
      ])
    }
    var text = table.text()
    if !record.groups.isEmpty { text += "\n" + groupTable(record) }
    if let equivalence = record.equivalence {
      text += """

        Masked and shrunk network differ by at most \
        \(NumberText.small(equivalence.maximumDifference)) (outputs span \
        \(NumberText.significant(equivalence.outputRange))) on \(equivalence.samples) samples \
        (\(equivalence.inputs)).

        """
    }
    return text
  }

  private func groupTable(_ record: PruneRecord) -> String {
    var table = TextTable([
      ("coupled channels", .left), ("scored", .left), ("combined by", .left), ("before", .right),
      ("after", .right), ("read by", .left), ("left alone because", .left),
    ])
    for group in record.groups {
      table.add([
        group.producers.joined(separator: " "), group.scored.joined(separator: " "), group.reduce,
        "\(group.unitsBefore)", "\(group.unitsAfter)", group.consumers.joined(separator: " "),
        group.frozen ?? "",
      ])
    }
    return table.text()
  }

  private func quantizeTable(_ record: QuantizeRecord) -> String {
    var table = TextTable([
      ("layer", .left), ("operator", .left), ("weight", .left), ("bits", .right),
      ("scales", .left), ("signal/noise", .right), ("input range", .left),
      ("16-bit saturation", .left), ("left alone because", .left),
    ])
    for layer in record.layers {
      table.add([
        layer.name, layer.op, layer.scheme ?? "", layer.bits.map { "\($0)" } ?? "",
        scales(layer), layer.signalToNoise.map { "\(NumberText.fixed($0, digits: 1)) dB" } ?? "",
        layer.inputRange.map { range in
          range.map { NumberText.significant(Double($0)) }.joined(separator: "…")
        } ?? "",
        saturation(layer), layer.skipped ?? "",
      ])
    }
    return table.text()
  }

  private func saturation(_ layer: QuantizeRecord.Layer) -> String {
    guard layer.saturationRisk else { return "" }
    return (layer.bits ?? 8) < 8 ? "avoided by \(layer.bits ?? 7) bits" : "possible"
  }

  private func scales(_ layer: QuantizeRecord.Layer) -> String {
    guard let low = layer.smallestScale, let high = layer.largestScale else { return "" }
    return low == high ? "\(low)" : "\(low)…\(high)"
  }

  private func shape(_ sizes: [Int]) -> String {
    sizes.map { "\($0)" }.joined(separator: "×")
  }
}
