// What users of the library may rely on. The modules' own documentation says what is in them; this
// one owns no logic.
@_exported public import BillhookCompression
@_exported public import BillhookFormats
@_exported public import BillhookGraph
@_exported public import BillhookPipeline
@_exported public import BillhookPlugins
@_exported public import BillhookRuntime
@_exported public import BillhookTensor
