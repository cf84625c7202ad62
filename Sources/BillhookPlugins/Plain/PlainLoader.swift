internal import BillhookTensor

/// Makes plugins of plain functions.
enum PlainLoader {
  /// True for what is no path and no id: `ffi:LIBRARY:SIGNATURE|BINDINGS`.
  static func isInline(_ text: String) -> Bool { text.hasPrefix(PlainInlineForm.prefix) }

  static func isManifest(_ path: String) -> Bool { path.hasSuffix(PlainManifest.suffix) }

  /// The plugins of a library, as its source says.
  ///
  /// - Parameter probe: Where to report the probes of its functions; nil leaves them out. They belong
  ///   into a process of their own, before the first use.
  static func plugins(
    of file: LibraryFile, _ source: PlainSource, probe: ProbeReport?
  ) throws(PluginError) -> [Plugin] {
    let record = try source.record()
    let library = try PlainLibrary(file, record)
    var plugins: [Plugin] = []
    for (index, plain) in record.plugins.enumerated() {
      var prepared: [PreparedCall] = []
      var isChecked = true
      for call in plain.calls {
        let found = try library.prepare(call)
        prepared.append(found.call)
        isChecked = isChecked && found.isChecked
      }
      let functions = PlainFunctions(plain, prepared)
      if let probe {
        probe.clear()
        probe.plugin = index
        PlainProbe(functions: functions, report: probe).run()
        if let failure = probe.failure(of: record, PlainProbe.Ending.returned) { throw failure }
      }
      plugins.append(plugin(plain, functions, record, file, isChecked: isChecked))
    }
    return plugins
  }

  /// What a process that loaded the library must say of it; only `isChecked` is its own finding.
  static func descriptions(
    of file: LibraryFile, _ source: PlainSource, isChecked: Bool
  ) throws(PluginError) -> [PluginDescription] {
    let record = try source.record()
    return record.plugins.map { plain in
      let descriptor = descriptor(plain, record, file, isChecked: isChecked)
      return PluginDescription(
        descriptor: descriptor,
        functions: entry(plain, functions: nil).functionNames)
    }
  }

  private static func plugin(
    _ plain: PlainPlugin, _ functions: PlainFunctions, _ record: PlainRecord, _ file: LibraryFile,
    isChecked: Bool
  ) -> Plugin {
    Plugin(
      descriptor: descriptor(plain, record, file, isChecked: isChecked),
      entry: entry(plain, functions: functions))
  }

  private static func entry(_ plain: PlainPlugin, functions: PlainFunctions?) -> PluginEntry {
    PluginEntry(
      create: PlainHooks.create, destroy: PlainHooks.destroy,
      functions: PlainHooks.functions(plain.hook),
      lifetime: ModuleLifetime(id: plain.id, initialize: nil, finish: nil), plain: functions)
  }

  private static func descriptor(
    _ plain: PlainPlugin, _ record: PlainRecord, _ file: LibraryFile, isChecked: Bool
  ) -> PluginDescriptor {
    let name = file.path.split(separator: "/").last.map(String.init) ?? file.path
    let module = ModuleDescriptor(
      id: name, version: record.version, vendor: record.vendor, license: record.license,
      url: record.url, path: file.path, sha256: file.sha256, abi: "plain functions")
    var only = record
    only.plugins = [plain]
    return PluginDescriptor(
      id: plain.id, name: plain.name, summary: plain.summary, doc: plain.doc, hook: plain.hook,
      parameters: plain.parameters, capabilities: plain.capabilities, needs: plain.needs,
      granularities: plain.granularities, weightTypes: [.float32], stateVersion: nil,
      module: module,
      plain: PlainDescription(
        functions: plain.calls.map {
          PlainDescription.Function(
            role: $0.role.rawValue, signature: $0.signature.description, bindings: $0.bindingTexts,
            returns: $0.returns.rawValue)
        }, isChecked: isChecked, manifest: only.manifest))
  }
}
