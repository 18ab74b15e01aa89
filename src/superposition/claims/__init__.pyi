from .statement import Evidence as Evidence, Statement as Statement, statements as statements
