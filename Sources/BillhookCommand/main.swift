print("billhook")
