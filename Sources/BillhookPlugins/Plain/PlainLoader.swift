internal import BillhookTensor
internal import Foundation

/// Makes plugins of plain functions.
enum PlainLoader {
  /// True for what is no path and no id: `ffi:LIBRARY:SIGNATURE|BINDINGS`.
  static func isInline(_ text: String) -> Bool { text.hasPrefix(PlainInlineForm.prefix) }

  static func isManifest(_ path: String) -> Bool { path.hasSuffix(PlainManifest.suffix) }

  /// The plugin that an inline form describes.
  static func plugin(
    inline text: String, hook: PluginDescriptor.Hook
  ) throws(PluginError) -> Plugin {
    let record = try PlainInlineForm.record(text, hook: hook)
    return try plugins(record, besides: nil)[0]
  }

  /// The plugins of a manifest. The library is looked for beside it first.
  static func plugins(manifest path: String) throws(PluginError) -> [Plugin] {
    let record = try PlainManifest.read(path)
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    return try plugins(record, besides: folder)
  }

  private static func plugins(
    _ record: PlainRecord, besides folder: String?
  ) throws(PluginError) -> [Plugin] {
    let library = try PlainLibrary(record, besides: folder)
    var plugins: [Plugin] = []
    for plain in record.plugins {
      var prepared: [PreparedCall] = []
      var isChecked = true
      for call in plain.calls {
        let found = try library.prepare(call)
        prepared.append(found.call)
        isChecked = isChecked && found.isChecked
      }
      let functions = PlainFunctions(plain, prepared)
      try PlainProbe(functions: functions).run()
      plugins.append(plugin(plain, functions, record, library.file, isChecked: isChecked))
    }
    return plugins
  }

  private static func plugin(
    _ plain: PlainPlugin, _ functions: PlainFunctions, _ record: PlainRecord, _ file: LibraryFile,
    isChecked: Bool
  ) -> Plugin {
    let name = file.path.split(separator: "/").last.map(String.init) ?? file.path
    let module = ModuleDescriptor(
      id: name, version: record.version, vendor: record.vendor, license: record.license,
      url: record.url, path: file.path, sha256: file.sha256, abi: "plain functions")
    var only = record
    only.plugins = [plain]
    let descriptor = PluginDescriptor(
      id: plain.id, name: plain.name, summary: plain.summary, doc: plain.doc, hook: plain.hook,
      parameters: plain.parameters, capabilities: plain.capabilities, needs: plain.needs,
      granularities: Set(plain.granularities), weightTypes: [.float32], stateVersion: nil,
      module: module,
      plain: PlainDescription(
        functions: plain.calls.map {
          PlainDescription.Function(
            role: $0.role.rawValue, signature: $0.signature.description, bindings: $0.bindingTexts,
            returns: $0.returns.rawValue)
        }, isChecked: isChecked, manifest: only.manifest))
    return Plugin(
      descriptor: descriptor,
      entry: PluginEntry(
        create: PlainHooks.create, destroy: PlainHooks.destroy,
        functions: PlainHooks.functions(plain.hook),
        lifetime: ModuleLifetime(id: plain.id, initialize: nil, finish: nil), plain: functions))
  }
}
