package amplitude

// MaxURLBytes is the longest URL that is sent; a longer one is the user's error ([Client.URLLength]).
const MaxURLBytes = maxURL
