"""What people see, made at the start from the files in this folder.

`card` is the card in which hosts show a job in the chat; `page` is the page at `/`. `draw.js` draws a job in both.
`files` reads them.
"""
