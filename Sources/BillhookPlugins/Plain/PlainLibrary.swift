internal import Glibc

/// A library of plain functions: found, hashed, loaded.
struct PlainLibrary {
  let file: LibraryFile
  private let symbols: LibrarySymbols
  private let handle: UnsafeMutableRawPointer

  init(_ record: PlainRecord, besides folder: String?) throws(PluginError) {
    let path = try LibrarySearch.path(record.library, besides: folder)
    file = try LibraryFile(path: path)
    if let expected = record.sha256, expected != file.sha256 {
      throw .wrongDigest(path: file.path, found: file.sha256, expected: expected)
    }
    // The file answers before the library's code runs.
    symbols = try LibrarySymbols(path: file.path)
    for plugin in record.plugins {
      for call in plugin.calls {
        try symbols.require(call.signature.symbol, library: file.path)
      }
    }
    handle = try ModuleLoader.open(file, as: path)
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
    switch DebugInformation.compare(call.signature, library: file.path) {
    case .unknown: return (prepared, false)
    case .agrees: return (prepared, true)
    case .contradicts(let reason):
      throw .contradictsDebugInformation(
        signature: call.signature.description, reason: reason)
    }
  }
}
