"""The pages of the detail pane: each turns an answer of the supervisor into text of a given width. Pure, but for the clock."""
