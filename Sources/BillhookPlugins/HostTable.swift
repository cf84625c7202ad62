internal import BillhookKernels
internal import BillhookSDK
internal import BillhookTensor
internal import Glibc
internal import Synchronization

/// The functions that plugins call (host.h).
enum HostTable {
  /// Safety: written once before anyone sees it, and never freed.
  nonisolated(unsafe) static let pointer: UnsafePointer<bh_host> = {
    let table = UnsafeMutablePointer<bh_host>.allocate(capacity: 1)
    table.initialize(
      to: bh_host(
        struct_size: UInt32(MemoryLayout<bh_host>.size), abi_major: UInt16(BH_ABI_MAJOR),
        abi_minor: UInt16(BH_ABI_MINOR), name: UnsafePointer(cString("billhook")),
        version: UnsafePointer(cString(billhookVersion)), log: log, fail: fail, scratch: scratch,
        parallel_for: parallelFor, cancelled: cancelled, progress: progress, random: random,
        get_extension: getExtension))
    return UnsafePointer(table)
  }()

  /// No more of a text is read.
  private static let textLimit: UInt64 = 64 * 1024

  /// A plugin's text, printable.
  static func text(_ bytes: UnsafePointer<CChar>?, _ length: UInt64) -> String {
    guard let bytes else { return "" }
    let count = Int(min(length, textLimit))
    return printable(
      String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self))
  }

  private static let log:
    @convention(c) (UnsafeMutablePointer<bh_call>?, UInt32, UnsafePointer<CChar>?, UInt64) -> Void =
      { call, level, bytes, length in
        guard let context = CallContext.of(call) else { return }
        let level = PluginObserver.LogLevel(rawValue: level) ?? .info
        context.plugin.observer.log(context.plugin.descriptor.id, level, text(bytes, length))
      }

  private static let fail:
    @convention(c) (UnsafeMutablePointer<bh_call>?, bh_status, UnsafePointer<CChar>?, UInt64)
      -> bh_status = { call, status, bytes, length in
        // A plugin that fails with "ok" still failed.
        let status = status < 0 ? status : BH_E_INTERNAL
        let message = text(bytes, length)
        CallContext.of(call)?.record(
          .init(status: status, message: message.isEmpty ? nil : message))
        return status
      }

  private static let scratch:
    @convention(c) (UnsafeMutablePointer<bh_call>?, UInt64, UInt64) -> UnsafeMutableRawPointer? =
      { call, bytes, alignment in
        guard let context = CallContext.of(call), bytes > 0, bytes < 1 << 47, alignment > 0,
          alignment <= 4096, alignment & (alignment - 1) == 0
        else { return nil }
        return context.allocate(bytes: Int(bytes), alignment: Int(alignment))
      }

  private static let cancelled: @convention(c) (UnsafeMutablePointer<bh_call>?) -> UInt32 = {
    CallContext.of($0)?.plugin.observer.isCancelled() == true ? 1 : 0
  }

  private static let progress:
    @convention(c) (UnsafeMutablePointer<bh_call>?, Double, UnsafePointer<CChar>?, UInt64) -> Void =
      { call, fraction, bytes, length in
        guard let context = CallContext.of(call), !fraction.isNaN else { return }
        context.plugin.observer.progress(
          context.plugin.descriptor.id, min(max(fraction, 0), 1), text(bytes, length))
      }

  private static let random:
    @convention(c) (
      UnsafeMutablePointer<bh_call>?, UInt64, UInt64, UnsafeMutablePointer<UInt32>?, UInt64
    ) -> bh_status = { call, stream, offset, out, count in
      guard let context = CallContext.of(call) else { return BH_E_INVALID_ARG }
      guard count > 0 else { return BH_OK }
      guard let out, count < 1 << 45, !offset.addingReportingOverflow(count).overflow else {
        return BH_E_INVALID_ARG
      }
      // A key of its own for each layer, so that no two layers share a stream.
      let layer = UInt64(context.layer?.index ?? 0)
      let key = CounterRandom.block(seed: context.seed, stream: layer, index: .max)
      let layerSeed = UInt64(key[1]) << 32 | UInt64(key[0])
      var position = offset
      var written = 0
      while written < Int(count) {
        let words = CounterRandom.block(seed: layerSeed, stream: stream, index: position / 4)
        repeat {
          out[written] = words[Int(position % 4)]
          written += 1
          position += 1
        } while position % 4 != 0 && written < Int(count)
      }
      return BH_OK
    }

  private static let getExtension:
    @convention(c) (UnsafeMutablePointer<bh_call>?, UnsafePointer<CChar>?) -> UnsafeRawPointer? =
      { _, id in
        guard let id, strcmp(id, BH_EXT_KERNELS) == 0 else { return nil }
        return UnsafeRawPointer(KernelTable.pointer)
      }

  // MARK: - parallel_for

  /// What the pieces of one loop share.
  private final class Loop: Sendable {
    nonisolated(unsafe) let task: bh_task
    nonisolated(unsafe) let context: UnsafeMutableRawPointer?
    let call: CallContext
    let status = Atomic<bh_status>(BH_OK)

    init(task: @escaping bh_task, context: UnsafeMutableRawPointer?, call: CallContext) {
      self.task = task
      self.context = context
      self.call = call
    }
  }

  private static let parallelFor:
    @convention(c) (
      UnsafeMutablePointer<bh_call>?, Int64, Int64, bh_task?, UnsafeMutableRawPointer?
    ) -> bh_status = { call, count, grain, task, taskContext in
      guard let context = CallContext.of(call), let task, count >= 0, grain > 0 else {
        return BH_E_INVALID_ARG
      }
      let loop = Loop(task: task, context: taskContext, call: context)
      let opaque = Unmanaged.passUnretained(loop).toOpaque()
      withExtendedLifetime(loop) {
        bh_parallel_for(
          count, grain,
          { begin, end, data in
            let loop = Unmanaged<Loop>.fromOpaque(data!).takeUnretainedValue()
            guard loop.status.load(ordering: .relaxed) == BH_OK else { return }
            let status = loop.call.task().enter { loop.task($0, begin, end, loop.context) }
            guard status != BH_OK else { return }
            // The first failure stays; the exchange may well find one.
            _ = loop.status.compareExchange(
              expected: BH_OK, desired: status, ordering: .relaxed)
          }, opaque)
      }
      return loop.status.load(ordering: .relaxed)
    }
}
