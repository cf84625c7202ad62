internal import BillhookSDK
