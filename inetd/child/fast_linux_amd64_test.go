package child

const fastStart = true
