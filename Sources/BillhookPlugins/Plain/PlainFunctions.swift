/// A plain plugin whose functions were found: what the instances of one plugin share.
///
/// Safety of `@unchecked`: constant after `init`.
final class PlainFunctions: @unchecked Sendable {
  let plugin: PlainPlugin
  /// `bh_qlayout.storage_id` of a block format; it outlives everything, as the ABI promises.
  let storageID: UnsafePointer<CChar>
  private let calls: [PlainRole: PreparedCall]

  init(_ plugin: PlainPlugin, _ calls: [PreparedCall]) {
    self.plugin = plugin
    storageID = UnsafePointer(cString("\(plugin.id)/1"))
    self.calls = Dictionary(uniqueKeysWithValues: calls.map { ($0.call.role, $0) })
  }

  func prepared(_ role: PlainRole) -> PreparedCall? { calls[role] }
}
