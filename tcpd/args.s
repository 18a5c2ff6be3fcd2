// Go takes a function without a body for a mistake unless there is assembly.
