internal import BillhookKernels
internal import BillhookSDK
internal import Foundation

/// Loads a library and reads what it says of itself (docs/abi.md, "Loading").
enum ModuleLoader {
  /// Loads a library, from its private copy when ``LibraryStore`` has made one.
  ///
  /// - Parameter probe: Where probes of plain functions report; nil makes none.
  static func load(
    _ file: LibraryFile, probe: ProbeReport? = nil
  ) throws(PluginError) -> [Plugin] {
    if let source = file.plain {
      return try PlainLoader.plugins(of: file, source, probe: probe)
    }
    let path = file.path
    let handle = try open(file)
    let name = cString(path)
    let earlier = FaultMark.enter(name, "billhook_module_v1")
    defer {
      FaultMark.leave(earlier)
      name.deallocate()
    }
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

  /// Opens a library and what it brings along.
  static func open(_ file: LibraryFile) throws(PluginError) -> UnsafeMutableRawPointer {
    let name = cString(file.path)
    let earlier = FaultMark.enter(name, "load")
    defer {
      FaultMark.leave(earlier)
      name.deallocate()
    }
    let before = bh_fp_state()
    for dependency in file.dependencies { _ = try open(dependency, of: file) }
    let handle = try open(file.loadPath ?? file.path, of: file)
    try checkFloatingPoint(before, plugin: file.path, function: "dlopen")
    return handle
  }

  private static func open(
    _ place: String, of file: LibraryFile
  ) throws(PluginError) -> UnsafeMutableRawPointer {
    // All symbols now, so that a missing one is found here and not in the middle of a run; local,
    // so that two plugins cannot take each other's. There is no dlclose: see docs/abi.md.
    if let handle = dlopen(place, RTLD_NOW | RTLD_LOCAL) { return handle }
    // People know the original, not the copy.
    let reason = String(cString: dlerror())
      .replacingOccurrences(of: file.loadPath ?? file.path, with: file.path)
    throw .cannotLoad(path: file.path, reason: reason)
  }

  private static func checkFloatingPoint(
    _ before: UInt64, plugin: String, function: String
  ) throws(PluginError) {
    let after = bh_fp_state()
    guard after != before else { return }
    bh_set_fp_state(before)
    throw .changedFloatingPoint(
      plugin: plugin, function: function, layer: nil, before: before, after: after)
  }
}

/// Copies a struct that the other side compiled: the part that both know, the rest zero.
///
/// Safety: `pointer` must point at `struct_size` readable bytes; that is the library's promise, and
/// a library that breaks it has the rights of the process anyway.
package func copyStruct<T>(
  _ type: T.Type, from pointer: UnsafeRawPointer, theirSize: UInt32, zero: T
) -> T {
  var local = zero
  withUnsafeMutableBytes(of: &local) { bytes in
    let count = min(bytes.count, Int(theirSize))
    bytes.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: count))
  }
  return local
}
