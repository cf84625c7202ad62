/// Networks that can be made from nothing.
///
/// Each reads `input`, `[N, channels, image, image]`, and makes `logits`, `[N, classes]`. Weights
/// are drawn as He et al. propose, biases are zero; the operator set is 17.
public enum NetworkTemplate: String, CaseIterable, Sendable {
  /// conv 3×3 → width, conv 3×3 → 2·width, fully connected; ReLU between.
  case simplenet
  /// Twice conv 3×3 + batch norm + ReLU + pooling (width, 2·width), fully connected 4·width,
  /// classes.
  case cnn
  /// Fully connected width, width/2, width/4, classes; ReLU between.
  case mlp
  /// Fully connected 300, 100, classes: LeCun et al. 1998, with ReLU.
  case lenet300x100 = "lenet-300-100"
  /// Convolutions 20 and 50 of 5×5, each pooled, then 500 and classes.
  ///
  /// The form of LeCun et al. 1998 that Caffe made common: 431,080 parameters at 28×28, to which
  /// published pruning results refer.
  case lenet5 = "lenet-5"
  /// Three stages of one residual block each, widths width, 2·width and 4·width.
  ///
  /// Source: He, Zhang, Ren and Sun, *Deep Residual Learning for Image Recognition*, 2015,
  /// section 4.2, arXiv:1512.03385. Our deviation: shortcuts that change shape are 1×1 convolutions
  /// with batch norm.
  case resnet8
  /// The same with three blocks a stage.
  case resnet20

  /// One line that tells a user what the network is.
  public var summary: String {
    switch self {
    case .simplenet: "two convolutions of 3×3 and a fully connected layer"
    case .cnn: "two convolutions with batch norm and pooling, two fully connected layers"
    case .mlp: "four fully connected layers"
    case .lenet300x100: "three fully connected layers of 300, 100 and the classes"
    case .lenet5: "two convolutions of 5×5 with pooling, two fully connected layers"
    case .resnet8: "a residual network of 8 layers"
    case .resnet20: "a residual network of 20 layers"
    }
  }

  /// The width when none is asked for; nil where the widths are fixed.
  public var defaultWidth: Int? {
    switch self {
    case .simplenet: 64
    case .cnn: 32
    case .mlp: 256
    case .lenet300x100, .lenet5: nil
    case .resnet8, .resnet20: 16
    }
  }

  /// The number of image channels when none is asked for.
  public var defaultChannels: Int { self == .simplenet ? 3 : 1 }

  /// Makes the network.
  ///
  /// - Parameters:
  ///   - width: Channels of the first layer, 1...1024 (from 4 for `mlp`); nil for the default.
  ///     A network of fixed widths takes none.
  ///   - channels: Image channels, 1...64; nil for the default.
  ///   - classes: 1...100,000.
  ///   - image: Height and width in pixels, up to 512.
  ///   - seed: The same seed gives the same weights.
  /// - Throws: ``GraphError/wrongTemplateOption(template:option:found:expected:)``.
  public func make(
    width: Int? = nil, channels: Int? = nil, classes: Int = 10, image: Int = 28, seed: UInt64 = 0
  ) throws(GraphError) -> Graph {
    try checkOptions(width: width, channels: channels, classes: classes, image: image)
    let channels = channels ?? defaultChannels
    let width = width ?? defaultWidth ?? 0
    var builder = NetworkBuilder(name: rawValue, channels: channels, image: image, seed: seed)
    switch self {
    case .simplenet: builder.addSimpleNet(width: width, image: image, classes: classes)
    case .cnn: builder.addCNN(width: width, image: image, classes: classes)
    case .mlp:
      builder.addPerceptron([width, width / 2, width / 4, classes], image: image)
    case .lenet300x100: builder.addPerceptron([300, 100, classes], image: image)
    case .lenet5: builder.addLeNet5(image: image, classes: classes)
    case .resnet8: builder.addResNet(blockCount: 1, width: width, classes: classes)
    case .resnet20: builder.addResNet(blockCount: 3, width: width, classes: classes)
    }
    var graph = builder.finished()
    let isFashion = channels == 1 && classes == 10 && image == 28
    graph.setPreprocessing(
      isFashion
        ? .fashionMNIST
        : Preprocessing(
          mean: [Float](repeating: 0, count: channels), std: [Float](repeating: 1, count: channels)
        ))
    if isFashion { graph.classNames = Preprocessing.fashionMNISTClasses }
    return graph
  }

  /// Checks what ``make(width:channels:classes:image:seed:)`` takes, without making anything.
  public func checkOptions(
    width: Int?, channels: Int?, classes: Int, image: Int
  ) throws(GraphError) {
    if let width, defaultWidth == nil {
      throw .wrongTemplateOption(
        template: rawValue, option: "width", found: width, expected: "none: its widths are fixed")
    }
    let channels = channels ?? defaultChannels
    let width = width ?? defaultWidth ?? 0
    if defaultWidth != nil { try check("width", width, self == .mlp ? 4...1024 : 1...1024) }
    try check("channels", channels, 1...64)
    try check("classes", classes, 1...100_000)
    try check("image", image, smallestImage...512)
    try checkSize(width: width, channels: channels, classes: classes, image: image)
  }

  /// The smallest image that leaves a pixel behind every pooling layer.
  private var smallestImage: Int {
    switch self {
    case .cnn: 4
    case .lenet5: 16
    default: 1
    }
  }

  private func check(
    _ option: String, _ found: Int, _ range: ClosedRange<Int>
  ) throws(GraphError) {
    guard range.contains(found) else {
      throw .wrongTemplateOption(
        template: rawValue, option: option, found: found,
        expected: "\(range.lowerBound) to \(range.upperBound)")
    }
  }

  /// Refuses networks whose first fully connected layer would not fit a usual machine.
  private func checkSize(
    width: Int, channels: Int, classes: Int, image: Int
  ) throws(GraphError) {
    let elementCount =
      switch self {
      case .simplenet: 2 * width * image * image * classes
      case .cnn: 8 * width * width * (image / 4) * (image / 4)
      case .mlp: width * channels * image * image
      case .lenet300x100: 300 * channels * image * image
      case .lenet5: 50 * 500 * (image / 4) * (image / 4)
      case .resnet8, .resnet20: 16 * width * width * 9 + 4 * width * classes
      }
    guard elementCount <= 1 << 28 else {
      throw .wrongTemplateOption(
        template: rawValue, option: "image", found: image,
        expected: """
          a smaller one, or a smaller width: a layer would have \(elementCount) weights and at most \
          \(1 << 28) are made
          """)
    }
  }
}

extension NetworkBuilder {
  fileprivate mutating func addSimpleNet(width: Int, image: Int, classes: Int) {
    conv("conv1", width)
    relu("relu1")
    conv("conv2", 2 * width)
    relu("relu2")
    flatten("flatten", area: image * image)
    gemm("fc", classes)
  }

  fileprivate mutating func addCNN(width: Int, image: Int, classes: Int) {
    for (index, outputs) in [width, 2 * width].enumerated() {
      conv("conv\(index + 1)", outputs)
      batchNorm("bn\(index + 1)")
      relu("relu\(index + 1)")
      maxPool("pool\(index + 1)")
    }
    flatten("flatten", area: (image / 4) * (image / 4))
    gemm("fc1", 4 * width)
    relu("relu3")
    gemm("fc2", classes)
  }

  fileprivate mutating func addPerceptron(_ widths: [Int], image: Int) {
    flatten("flatten", area: image * image)
    for (index, outputs) in widths.enumerated() {
      gemm("fc\(index + 1)", outputs)
      if index + 1 < widths.count { relu("relu\(index + 1)") }
    }
  }

  fileprivate mutating func addLeNet5(image: Int, classes: Int) {
    conv("conv1", 20, kernel: 5, padding: 0)
    maxPool("pool1")
    conv("conv2", 50, kernel: 5, padding: 0)
    maxPool("pool2")
    let side = ((image - 4) / 2 - 4) / 2
    flatten("flatten", area: side * side)
    gemm("fc1", 500)
    relu("relu1")
    gemm("fc2", classes)
  }

  fileprivate mutating func addResNet(blockCount: Int, width: Int, classes: Int) {
    conv("stem.conv", width, bias: false)
    batchNorm("stem.bn")
    relu("stem.relu")
    for stage in 0..<3 {
      for block in 0..<blockCount {
        addBlock(
          "stage\(stage + 1).block\(block + 1)", width << stage,
          stride: stage > 0 && block == 0 ? 2 : 1)
      }
    }
    globalAveragePool("pool")
    flatten("flatten", area: 1)
    gemm("fc", classes)
  }

  private mutating func addBlock(_ name: String, _ outputs: Int, stride: Int) {
    let (input, inputChannels) = (value, channels)
    conv("\(name).conv1", outputs, stride: stride, bias: false)
    batchNorm("\(name).bn1")
    relu("\(name).relu1")
    conv("\(name).conv2", outputs, bias: false)
    batchNorm("\(name).bn2")
    let main = value
    var shortcut = input
    if stride != 1 || inputChannels != outputs {
      (value, channels) = (input, inputChannels)
      conv("\(name).shortcut.conv", outputs, kernel: 1, stride: stride, bias: false)
      batchNorm("\(name).shortcut.bn")
      (shortcut, value) = (value, main)
    }
    add("\(name).add", shortcut)
    relu("\(name).relu2")
  }
}
