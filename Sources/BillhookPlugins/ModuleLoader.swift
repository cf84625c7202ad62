internal import BillhookKernels
internal import BillhookSDK
internal import Glibc
internal import Synchronization

/// Loads a library and reads what it says of itself (docs/abi.md, "Loading").
enum ModuleLoader {
  /// Digests of the files that this process has loaded, by path. A loaded library stays, so a file
  /// that is rebuilt meanwhile would be reported under a digest that is not what runs.
  private static let loaded = Mutex<[String: String]>([:])

  static func load(path: String) throws(PluginError) -> [Plugin] {
    let file = try LibraryFile(path: path)
    let handle = try open(file, as: path)
    let before = bh_fp_state()
    guard let symbol = dlsym(handle, "billhook_module_v1") else {
      throw .rejected(
        path: path, rule: "BH-20", field: "billhook_module_v1", found: "not exported",
        expected: "an exported function")
    }
    typealias Entry = @convention(c) () -> UnsafePointer<bh_module>?
    let entry = unsafeBitCast(symbol, to: Entry.self)
    let pointer = entry()
    try checkFloatingPoint(before, plugin: path, function: "billhook_module_v1")
    guard let pointer else {
      throw .rejected(
        path: path, rule: "BH-20", field: "billhook_module_v1()", found: "null",
        expected: "a bh_module")
    }
    return try ModuleReader(path: path, file: file).plugins(of: UnsafeRawPointer(pointer))
  }

  /// Opens a library that was hashed.
  ///
  /// - Parameter path: As the user wrote it, for messages.
  static func open(
    _ file: LibraryFile, as path: String
  ) throws(PluginError) -> UnsafeMutableRawPointer {
    let known = loaded.withLock { $0[file.path] }
    guard known == nil || known == file.sha256 else { throw .changedSinceLoaded(path: path) }
    let before = bh_fp_state()
    // All symbols now, so that a missing one is found here and not in the middle of a run; local,
    // so that two plugins cannot take each other's. There is no dlclose: see docs/abi.md.
    guard let handle = dlopen(file.path, RTLD_NOW | RTLD_LOCAL) else {
      throw .cannotLoad(path: path, reason: String(cString: dlerror()))
    }
    loaded.withLock { $0[file.path] = file.sha256 }
    try checkFloatingPoint(before, plugin: path, function: "dlopen")
    return handle
  }

  private static func checkFloatingPoint(
    _ before: UInt64, plugin: String, function: String
  ) throws(PluginError) {
    let after = bh_fp_state()
    guard after != before else { return }
    bh_set_fp_state(before)
    throw .changedFloatingPoint(plugin: plugin, function: function, before: before, after: after)
  }
}

/// Copies a struct that the other side compiled: the part that both know, the rest zero.
///
/// Safety: `pointer` must point at `struct_size` readable bytes; that is the library's promise, and
/// a library that breaks it has the rights of the process anyway.
package func copyStruct<T>(_ type: T.Type, from pointer: UnsafeRawPointer, theirSize: UInt32, zero: T) -> T
{
  var local = zero
  withUnsafeMutableBytes(of: &local) { bytes in
    let count = min(bytes.count, Int(theirSize))
    bytes.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: count))
  }
  return local
}
