/// The operators that Billhook understands.
public enum OperatorTable {
  /// The versions of ONNX's operator set whose operators mean what the definitions say.
  public static let opsets = 1...28

  /// Every operator, by name.
  public static let definitions: [OperatorDefinition] = families.joined()
    .sorted { $0.name < $1.name }

  private static let families: [[OperatorDefinition]] = [
    OperatorDefinition.activationFamily, OperatorDefinition.arithmeticFamily,
    OperatorDefinition.attentionFamily,
    OperatorDefinition.controlFlowFamily, OperatorDefinition.convolutionFamily,
    OperatorDefinition.elementwiseFamily, OperatorDefinition.generationFamily,
    OperatorDefinition.indexingFamily, OperatorDefinition.logicFamily,
    OperatorDefinition.localNormalizationFamily, OperatorDefinition.lossFamily,
    OperatorDefinition.matrixFamily,
    OperatorDefinition.normalizationFamily, OperatorDefinition.poolingFamily,
    OperatorDefinition.quantizationFamily, OperatorDefinition.randomFamily,
    OperatorDefinition.rearrangingFamily, OperatorDefinition.recurrentFamily,
    OperatorDefinition.reductionFamily,
    OperatorDefinition.samplingFamily, OperatorDefinition.shapingFamily,
    OperatorDefinition.signalFamily, OperatorDefinition.slicingFamily,
    [.constant, .nonMaxSuppression],
  ]

  private static let byName = Dictionary(
    uniqueKeysWithValues: definitions.map { ($0.name, $0) })

  /// The definition of a node's operator.
  ///
  /// - Throws: ``GraphError/unsupportedOperator(op:domain:node:supported:)``.
  public static func definition(of node: Node) throws(GraphError) -> OperatorDefinition {
    guard node.isStandard, let definition = byName[node.op] else {
      throw .unsupportedOperator(
        op: node.op, domain: node.isStandard ? "" : node.domain, node: node.displayName,
        supported: Graph.supportedOperators)
    }
    return definition
  }
}

extension Graph {
  /// The names of the operators that a graph may use, sorted.
  public static let supportedOperators = OperatorTable.definitions.map(\.name)
}
