internal import BillhookCompression

extension Report {
  /// The ledger, one line a stage.
  public func table() -> String {
    var table = TextTable([
      ("stage", .left), ("top-1", .right), ("95 % interval", .left), ("change", .right),
      ("agreement", .right), ("difference", .right), ("on disk", .right), ("parameters", .right),
      ("MACs", .right),
      ("sparsity", .right), ("batch 1", .right), ("batch 128", .right), ("time", .right),
      ("file", .left),
    ])
    for row in stages {
      table.add([
        row.stage + (row.isTeacher ? " (teacher)" : ""),
        row.evaluation.map { NumberText.fraction($0.top1) } ?? "",
        row.evaluation.map {
          "\(NumberText.fraction($0.intervalLow))–\(NumberText.fraction($0.intervalHigh))"
        } ?? "",
        row.changeAgainstTeacher.map { "\(NumberText.points($0)) pp" } ?? "",
        row.agreementWithTeacher.map(NumberText.fraction) ?? "",
        row.differenceFromTeacher.map(NumberText.small) ?? "",
        NumberText.bytes(row.bytes), NumberText.count(row.parameters),
        NumberText.magnitude(row.macs), NumberText.fraction(row.sparsity),
        row.latencyBatch1.map { NumberText.seconds($0.medianSeconds) } ?? "",
        row.latencyBatch128.map { NumberText.seconds($0.medianSeconds) } ?? "",
        NumberText.seconds(row.seconds) + (row.isResumed ? " (kept)" : ""),
        row.file.hasPrefix(StageCache.folderName) ? "" : row.file,
      ])
    }
    return table.text() + comparison()
  }

  /// The last network against the teacher, in a line.
  private func comparison() -> String {
    guard let teacher = stages.first(where: \.isTeacher), let last = stages.last,
      last.index != teacher.index, last.bytes > 0
    else { return "" }
    var parts = ["\(NumberText.significant(Double(teacher.bytes) / Double(last.bytes)))× smaller"]
    if let before = teacher.latencyBatch128, let after = last.latencyBatch128,
      after.medianSeconds > 0
    {
      let ratio = before.medianSeconds / after.medianSeconds
      parts.append("\(NumberText.significant(ratio))× the speed at batch 128")
    }
    if let change = last.changeAgainstTeacher {
      parts.append("top-1 \(NumberText.points(change)) points")
    }
    return "\n\(last.file) against \(teacher.file): \(parts.joined(separator: ", "))\n"
  }

  /// The whole report as text: the ledger, each stage's layers, plugins and warnings.
  public func text() -> String {
    var text = """
      Billhook \(version): \(recipe)
      recipe SHA-256 \(recipeSHA256)
      seed \(seed), \(machine.threads) threads, \(machine.instructionSet)

      """
    for source in data {
      text += "\(source.role): \(source.source), \(NumberText.count(source.samples)) samples"
      text += "\(source.labelled ? "" : " without labels"), SHA-256 \(source.sha256)\n"
    }
    text += "\n" + table()
    text += """

      Every number is measured on the written file. top-1: on the test data; change: against the
      teacher, in percentage points; MACs: multiply-adds for one sample; sparsity: zeros among the
      weights of layers; batch 1, batch 128: median time of one run.

      """
    for row in stages {
      text += "\n\(heading(row))\n\n" + row.layerTable()
    }
    if !plugins.isEmpty { text += "\nPlugins\n\n" + pluginTable() }
    if !warnings.isEmpty {
      text += "\nWarnings\n\n" + warnings.map { "- \($0)\n" }.joined()
    }
    return text
  }

  private func heading(_ row: StageReport) -> String {
    let number = row.index.map { "\($0 + 1). " } ?? ""
    return "\(number)\(row.stage)\(row.summary.isEmpty ? "" : ": \(row.summary)")"
  }

  private func pluginTable() -> String {
    var table = TextTable([
      ("plugin", .left), ("hook", .left), ("version", .left), ("parameters", .left),
      ("SHA-256", .left),
    ])
    for plugin in plugins {
      table.add([
        plugin.id, plugin.hook, plugin.version,
        plugin.parameters.map { "\($0.key)=\($0.value)" }.joined(separator: " "), plugin.sha256,
      ])
    }
    return table.text()
  }
}
