"""What people see, made at the start from the files in this folder.

`card` is the card in which hosts show a job in the chat; `page` is the page at `/`. `draw.js` draws a job in both.
`media` is what the sandbox's links lead to. `files` reads the files, and `answers` sends what is made of them.
"""
