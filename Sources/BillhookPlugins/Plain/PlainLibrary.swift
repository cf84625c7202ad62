internal import Glibc

/// A library of plain functions, loaded.
struct PlainLibrary {
  private let file: LibraryFile
  private let symbols: LibrarySymbols
  private let handle: UnsafeMutableRawPointer

  init(_ file: LibraryFile, _ record: PlainRecord) throws(PluginError) {
    self.file = file
    // The file answers before the library's code runs.
    symbols = try LibrarySymbols(path: file.loadPath ?? file.path)
    for plugin in record.plugins {
      for call in plugin.calls {
        try symbols.require(call.signature.symbol, library: file.path)
      }
    }
    handle = try ModuleLoader.open(file)
  }

  /// The function's address, and what the debug information says of the signature.
  func prepare(
    _ call: PlainCall
  ) throws(PluginError) -> (call: PreparedCall, isChecked: Bool) {
    guard let address = dlsym(handle, call.signature.symbol) else {
      throw .missingFunction(
        library: file.path, function: call.signature.symbol,
        found: "the dynamic loader does not find it", nearest: [])
    }
    let prepared = try PreparedCall(call, address: address)
    switch DebugInformation.compare(call.signature, library: file.loadPath ?? file.path) {
    case .unknown: return (prepared, false)
    case .agrees: return (prepared, true)
    case .contradicts(let reason):
      throw .contradictsDebugInformation(
        signature: call.signature.description, reason: reason)
    }
  }
}
