/// What a plugin tells the user while it works, and how the user stops it.
///
/// The closures are called on any thread, several at a time.
public struct PluginObserver: Sendable {
  public enum LogLevel: UInt32, Sendable {
    case debug = 0
    case info = 1
    case warning = 2
  }

  /// A line of the plugin's own: its id, the level, the text.
  public var log: @Sendable (_ plugin: String, LogLevel, _ text: String) -> Void
  /// How far a long call is: the plugin's id, 0...1, a word or two.
  public var progress: @Sendable (_ plugin: String, _ fraction: Double, _ text: String) -> Void
  /// True when the user wants to stop; the plugin then returns early and the call throws.
  public var isCancelled: @Sendable () -> Bool
  /// How long a call was inside of the plugin: the plugin's id, the function, the time. Nil when
  /// nobody wants to know, which costs nothing.
  public var called: (@Sendable (_ plugin: String, _ function: String, Duration) -> Void)?

  public init(
    log: @escaping @Sendable (_ plugin: String, LogLevel, _ text: String) -> Void = { _, _, _ in },
    progress: @escaping @Sendable (_ plugin: String, _ fraction: Double, _ text: String) -> Void =
      { _, _, _ in },
    isCancelled: @escaping @Sendable () -> Bool = { false },
    called: (@Sendable (_ plugin: String, _ function: String, Duration) -> Void)? = nil
  ) {
    self.log = log
    self.progress = progress
    self.isCancelled = isCancelled
    self.called = called
  }
}
